"""Pictures are what they were; what must differ is written anew, and the commit says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests import golden
from tests.golden import assert_golden
from tests.tiny import tiny_condition, tiny_pipeline, tiny_xl_pipeline

BOUND = 2e-5
"""Ten times the largest difference seen between AVX-512, AVX2 and SSE4.1, MKL's ways for Intel's and for other
processors, and one and two threads."""

KINDS = ("identity", "landmarks", "expression", "emotion")
MODES: dict[str, dict[str, Any]] = {
    "text": {"prompt": ["red hair", "round glasses"], "guidance": {"text": 3.0}},
    "identity in the prompt": {"given": KINDS, "identity_mode": "prompt"},
    "identity by a branch": {"given": KINDS, "identity_mode": "branch"},
    "fast": {"given": KINDS, "speed": "fast", "num_inference_steps": 6},
}


@pytest.mark.parametrize("make", [tiny_pipeline, tiny_xl_pipeline])
def test_pictures(make: Any) -> None:
    pipeline = make()
    for name, mode in MODES.items():
        options: dict[str, Any] = {"num_inference_steps": 3, "output_type": "latent", **mode}
        given = {kind: tiny_condition(kind, 2) for kind in options.pop("given", ())}
        generator = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
        latents = pipeline(**options, **given, generator=generator).images
        assert_golden(f"{make.__name__}: {name}", latents[:, :, ::4, ::4].flatten().tolist(), BOUND)


def test_another_machine_is_held_to_the_bound_and_the_own_one_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "FILE", tmp_path / "golden.json")
    monkeypatch.setenv("MIEN_UPDATE_GOLDEN", "1")
    assert_golden("a", [1.0, 2.0], 1e-3)
    monkeypatch.delenv("MIEN_UPDATE_GOLDEN")
    assert_golden("a", [1.0, 2.0], 1e-3)
    with pytest.raises(AssertionError, match="on the machine that made it"):
        assert_golden("a", [1.0, 2.001], 1e-3)
    elsewhere = golden.machine() | {"processor": "another"}
    monkeypatch.setattr(golden, "machine", lambda: elsewhere)
    assert_golden("a", [1.0, 2.001], 1e-3)
    with pytest.raises(AssertionError):
        assert_golden("a", [1.0, 2.003], 1e-3)
