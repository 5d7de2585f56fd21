"""Readings are taken again where a picture or who reads it is another, and else not."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.core.caches import read_arrays
from mien.core.progress import step_of
from mien.core.stages.execute import execute
from mien.errors import MienError
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.pictures import Drawing
from mien.evaluation.readings import read as module
from mien.evaluation.readings.read import ReadingStage, read_images
from tests.evaluation.fake_control import SIZE, FakeModel, FakeReader, fake_control_tools


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


def reopened() -> EvaluationContext:
    return fake_control_tools(FakeModel())


def test_two_processes_read_what_one_does(files: list[Path], tmp_path: Path) -> None:
    whole = module._read(reopened(), files, lambda _: None)
    stage, told = ReadingStage(tmp_path / "kept", files, "digest", reopened, per_task=2), list[int]()
    assert execute(stage, workers=2, bar=lambda total, label: nullcontext(step_of(told.append)))
    found = read_arrays(stage.whole)
    assert found is not None and found.arrays.keys() == whole.values.keys() and sum(told) == len(files)
    for name, value in whole.values.items():
        assert found.arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(found.arrays[name], value)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [stage.whole.name]


@pytest.mark.parametrize(("many", "reopen", "expected"), [(3, reopened, (None, "ray")), (4, reopened, (1, "local")),
                                                          (3, None, (1, "local"))])  # fmt: skip
def test_processes_are_started_where_they_are_worth_it(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int, reopen: Any, expected: Any
) -> None:
    asked: list[Any] = []

    def carried_out(stage: ReadingStage, *, executor: str, workers: int | None, bar: Any) -> bool:
        asked.append((workers, executor))
        return execute(stage, workers=1, bar=bar)

    monkeypatch.setattr(module, "execute", carried_out)
    monkeypatch.setattr(module, "MANY", many)
    how: dict[str, Any] = {"reopen_readers": reopen, "drawing": Drawing("ray"), "judges": {"judges/face": "a"}}
    read_images(replace(reopened(), **how), files, folder=tmp_path)
    assert asked == [expected]


class Stopped(FakeReader):
    """Is stopped at its second batch."""

    def __init__(self) -> None:
        self.batches = 0

    def read_batch(self, images: Any) -> Any:
        self.batches += 1
        if self.batches == 2:
            raise KeyboardInterrupt
        return super().read_batch(images)


def test_what_was_read_before_an_interruption_is_not_read_again(
    files: list[Path], tmp_path: Path, read: list[int]
) -> None:
    stopped = replace(reopened(), readers={"fake": Stopped()})
    with pytest.raises(KeyboardInterrupt):
        execute(ReadingStage(tmp_path, files, "digest", None, stopped, per_task=2), workers=1)
    assert execute(ReadingStage(tmp_path, files, "digest", None, reopened(), per_task=2), workers=1)
    assert read == [2, 1, 1], "of the first share, once"


def test_a_damaged_share_is_read_again(files: list[Path], tmp_path: Path, read: list[int]) -> None:
    stage = ReadingStage(tmp_path, files, "digest", None, reopened(), per_task=2)
    (tmp_path / "readings-digest-0001.safetensors").write_bytes(b"no arrays")
    with pytest.raises(MienError, match="was damaged and is removed: run the same command again"):
        execute(stage, workers=1)
    assert execute(stage, workers=1) and read == [2, 1]
