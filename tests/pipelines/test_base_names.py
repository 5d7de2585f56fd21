"""A base's name is checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.errors import MissingAsset
from mien.pipelines.base_names import BASES, check_base


def test_what_may_be_a_base_passes(tmp_path: Path) -> None:
    for base in (*BASES, "owner/name", tmp_path):
        check_base(base)


@pytest.mark.parametrize("base", ["./owner/name", "~/name", "a/b/c", "owner/name.safetensors", "/name", "owner/", "x"])
def test_what_cannot_be_one_is_refused(base: str) -> None:
    with pytest.raises(MissingAsset, match="use studio, sd15"):
        check_base(base)


def test_what_was_meant_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "portraits").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for base, meant in (("SDXL", "sdxl"), ("arcface2", "arc2face"), ("models/portrait", "models/portraits")):
        with pytest.raises(MissingAsset, match=f"did you mean '{meant}'"):
            check_base(base)
    check_base("models/other")  # not near: perhaps of the hub
