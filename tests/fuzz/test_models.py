"""The damage of model files."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.kinds_models import sound
from tests.fuzz.mutants import mutant


def test_a_number_is_always_the_same_damage(tmp_path: Path) -> None:
    whole = sound("adapters") / "ours.safetensors"
    one, other = ([mutant(whole, seed, tmp_path / name).read_bytes() for seed in range(20)] for name in ("a", "b"))
    assert one == other
    assert len(set(one)) > 15
