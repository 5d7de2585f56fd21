"""What is kept to spare work is whole, or made anew."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mien.core.caches import read_arrays, write_arrays


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    arrays = {"a": np.arange(5000, dtype=np.float32), "b": np.zeros((2, 0), np.int64), "c": np.array(3, np.uint8)}
    write_arrays(path, {**arrays, "turned": np.arange(6).reshape(2, 3).T}, {"key": "1"})
    return path


def test_arrays_come_back(kept: Path) -> None:
    found = read_arrays(kept)
    assert found is not None and found.about == {"key": "1"}
    assert found.arrays["a"].tolist() == list(range(5000)) and found.arrays["turned"].tolist() == [
        [0, 3],
        [1, 4],
        [2, 5],
    ]
    assert found.arrays["b"].shape == (2, 0) and found.arrays["c"].shape == ()


@pytest.mark.parametrize("damage", ["zeroed tail", "cut", "empty", "noise", "one bit", "no digest", "another key"])
def test_what_is_damaged_is_made_anew(kept: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(kept.read_bytes())
    if damage == "zeroed tail":  # what a machine that lost its power leaves
        content[-4096:] = bytes(4096)
    elif damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "empty":
        content.clear()
    elif damage == "noise":
        content[:] = np.random.default_rng(0).bytes(len(content))
    elif damage == "one bit":
        content[-100] ^= 4
    elif damage == "another key":
        content = content.replace(b'"key":"1"', b'"key":"2"')
    kept.write_bytes(content)
    if damage == "no digest":
        save_file({"a": np.zeros(3)}, kept, metadata={"key": "1"})
    with caplog.at_level(logging.WARNING):
        assert read_arrays(kept) is None
    assert "made anew" in caplog.text


def test_no_file_is_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_arrays(tmp_path / "none") is None and not caplog.text
