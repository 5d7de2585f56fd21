"""Frames of a video at intervals: the same whether the file can be entered in the middle or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput
from mien.media.video import frames_at, read_frames
from tests.raw_data import write_video

pytest.importorskip("av", reason="av is not installed: pip install 'mien[video]'")


def greys(count: int) -> list[Image.Image]:
    """Pictures that get brighter by 12 levels."""
    return [Image.new("RGB", (64, 48), (12 * number,) * 3) for number in range(count)]


def shown(path: Path, every: float) -> list[tuple[float, int]]:
    return [(time, round(float(np.asarray(image).mean()) / 12)) for time, image in frames_at(path, every)]


@pytest.mark.parametrize("key_frames", [1, 7, 1000])
@pytest.mark.parametrize("every", [0.4, 1.0, 3.0, 5.5])
def test_the_frame_that_stands_at_each_time(tmp_path: Path, key_frames: int, every: float) -> None:
    path = write_video(tmp_path / "film.mp4", greys(20), key_frames=key_frames)
    found = shown(path, every)
    assert [time for time, _ in found] == pytest.approx(np.arange(0, 20, every))
    assert [shade for _, shade in found] == [int(time + 1e-6 + 0.1) for time, _ in found]


def test_frames_keep_their_size(tmp_path: Path) -> None:
    """A face is cut out of them: brought down first, it would be enlarged again to what training wants."""
    path = write_video(tmp_path / "film.mp4", [Image.new("RGB", (1920, 1080), (90, 90, 90))] * 2)
    assert [image.size for _, image in frames_at(path, 1.0)] == [(1920, 1080)] * 2
    assert max(next(read_frames(path).images).size) == 1024, "of a driving video faces are only read"


def test_they_are_those_of_a_player(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mp4", greys(6))
    at_once = [round(float(np.asarray(image).mean()) / 12) for image in read_frames(path, 1.0).images]
    assert [shade for _, shade in shown(path, 1.0)] == at_once


def test_long_gaps_are_jumped_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few frames are decoded where the file has key frames on the way."""
    import mien.media.video as module

    path = write_video(tmp_path / "film.mp4", greys(20), key_frames=5)
    jumps = []
    jump = module._Walk._jump
    monkeypatch.setattr(module._Walk, "_jump", lambda self, time: (jumps.append(time), jump(self, time))[1])
    shown(path, 6.0)
    assert jumps[:3] == [6.0, 12.0, 18.0]


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no video at all")
    with pytest.raises(BadInput, match="not a video"):
        list(frames_at(tmp_path / "film.mp4", 1.0))
