"""Readings are taken again where a picture or who reads it is another, and else not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.evaluation.readings import read as module
from mien.evaluation.readings.read import read_images
from tests.evaluation.fake_control import SIZE, FakeModel, fake_control_tools


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8)).save(path)
    return paths


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each reading looked at."""
    counts: list[int] = []

    plain = module._read

    def counted(tools: Any, pictures: Any, advance: Any) -> Any:
        counts.append(len(pictures))
        return plain(tools, pictures, advance)

    monkeypatch.setattr(module, "_read", counted)
    return counts


def test_the_same_pictures_are_read_once(files: list[Path], tmp_path: Path, read: list[int]) -> None:
    tools = replace(fake_control_tools(FakeModel()), judges={"judges/face": "a"})
    told: list[int] = []
    first = read_images(tools, files, told.append, tmp_path / "kept")
    again = read_images(tools, files, told.append, tmp_path / "kept")
    assert read == [3] and sum(told) == 6
    assert first.values.keys() == again.values.keys()
    for name, value in first.values.items():
        np.testing.assert_array_equal(value, again[name])
        assert value.dtype == again[name].dtype


def test_another_judge_or_picture_is_read(files: list[Path], tmp_path: Path, read: list[int]) -> None:
    tools = replace(fake_control_tools(FakeModel()), judges={"judges/face": "a"})
    read_images(tools, files, folder=tmp_path)
    read_images(replace(tools, judges={"judges/face": "b"}), files, folder=tmp_path)
    read_images(tools, files[::-1], folder=tmp_path)
    Image.new("RGB", (SIZE, SIZE)).save(files[0])
    read_images(tools, files, folder=tmp_path)
    assert read == [3, 3, 3, 3]


def test_nothing_is_kept_where_nobody_knows_who_judges(files: list[Path], tmp_path: Path, read: list[int]) -> None:
    for _ in range(2):
        read_images(fake_control_tools(FakeModel()), files, folder=tmp_path / "kept")
    assert read == [3, 3] and not (tmp_path / "kept").exists()
