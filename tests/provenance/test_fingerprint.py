"""Hashes of weights: read once, and again when a file changes."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from mien.provenance import fingerprint
from mien.provenance.fingerprint import environment, model_hashes


def test_files_are_read_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    whole = fingerprint.sha256_of
    monkeypatch.setattr(fingerprint, "sha256_of", lambda path: read.append(path) or whole(path))
    file = tmp_path / "unet" / "weights.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"one")
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("not a weight")
    found = model_hashes(tmp_path, {})
    assert found == {
        "model_index.json": sha256(b"{}").hexdigest(), "unet/weights.safetensors": sha256(b"one").hexdigest()
    }  # fmt: skip
    assert model_hashes(tmp_path, {"other": file}) == found | {"other": found["unet/weights.safetensors"]}
    assert len(read) == 2
    file.write_bytes(b"three")
    assert model_hashes(tmp_path, {})["unet/weights.safetensors"] == sha256(b"three").hexdigest() and len(read) == 3


def test_a_library_without_metadata_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "LIBRARIES", ("torch", "no-such-library"))
    told = environment("cpu")
    assert told["torch"][0].isdigit() and told["no-such-library"] == "unknown" and told["device"] == "cpu"
