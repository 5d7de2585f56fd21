"""Readings are taken again where a picture or who reads it is another, and else not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.evaluation.control import kept_readings
from mien.evaluation.control.kept_readings import cached_readings
from mien.evaluation.control.observe import observe
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

    def counted(tools: Any, pictures: Any, told: Any) -> Any:
        counts.append(len(pictures))
        return observe(tools, pictures, told)

    monkeypatch.setattr(kept_readings, "observe", counted)
    return counts


def test_the_same_pictures_are_read_once(files: list[Path], tmp_path: Path, read: list[int]) -> None:
    tools = replace(fake_control_tools(FakeModel()), judges={"judges/face": "a"})
    told: list[int] = []
    first = cached_readings(tools, files, tmp_path / "kept", told.append)
    again = cached_readings(tools, files, tmp_path / "kept", told.append)
    assert read == [3] and sum(told) == 6
    assert first.values.keys() == again.values.keys()
    for name, value in first.values.items():
        np.testing.assert_array_equal(value, again[name])
        assert value.dtype == again[name].dtype


def test_another_judge_or_picture_is_read(files: list[Path], tmp_path: Path, read: list[int]) -> None:
    tools = replace(fake_control_tools(FakeModel()), judges={"judges/face": "a"})
    cached_readings(tools, files, tmp_path)
    cached_readings(replace(tools, judges={"judges/face": "b"}), files, tmp_path)
    cached_readings(tools, files[::-1], tmp_path)
    Image.new("RGB", (SIZE, SIZE)).save(files[0])
    cached_readings(tools, files, tmp_path)
    assert read == [3, 3, 3, 3]


def test_nothing_is_kept_where_nobody_knows_who_judges(files: list[Path], tmp_path: Path, read: list[int]) -> None:
    for _ in range(2):
        cached_readings(fake_control_tools(FakeModel()), files, tmp_path / "kept")
    assert read == [3, 3] and not (tmp_path / "kept").exists()
