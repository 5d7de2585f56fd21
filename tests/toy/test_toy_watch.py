"""What is measured while the toy's branch learns, and how it is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.faces.types import NoFace
from mien.toy.sheet import TILE, Column, sheet
from mien.toy.watch import WISHES, Watch
from tests.fakes import FakePipeline, fake_tools


def test_a_face_that_never_turns_misses_every_angle(tmp_path: Path) -> None:
    pipeline = FakePipeline(tmp_path / "model")
    watch = Watch(fake_tools(), pipeline, steps=1)
    look = watch.look()
    angles = [value for _, wish in WISHES for name, value in wish.items() if name in ("yaw", "pitch", "roll")]
    assert look.pose_error == pytest.approx((sum(a * a for a in angles) / (3 * len(WISHES))) ** 0.5, abs=0.01)
    assert look.faces == len(look.images) == len(watch.wanted) == len(WISHES)
    assert look.point_error is not None and look.point_error > 0
    assert [call["scales"] for call in pipeline.calls] == [{}]
    watch.look(without=True)
    assert pipeline.calls[-1]["scales"] == {"landmarks": 0.0}


def test_every_look_has_the_same_noise(tmp_path: Path) -> None:
    watch = Watch(fake_tools(), FakePipeline(tmp_path / "model"), steps=1)
    one, two = watch.look(), watch.look()
    assert [image.tobytes() for image in one.images] == [image.tobytes() for image in two.images]


def test_pictures_without_a_face_are_counted(tmp_path: Path) -> None:
    tools = fake_tools()
    watch = Watch(tools, FakePipeline(tmp_path / "model"), steps=1)
    watch.tools = replace(tools, read=lambda image, source: NoFace(source))
    assert watch.look().numbers() == {"pose_error": None, "point_error": None, "faces": 0}


@pytest.mark.parametrize("shipped", [None, 4.0])
def test_the_picture_has_a_column_for_every_moment(shipped: float | None) -> None:
    tiles = [Image.new("RGB", (128, 128), (200, 0, 0))] * 2
    moments: list[Any] = [Column("without", tiles, None), Column("20 s", tiles, 9.0), Column("40 s", tiles, 0.0)]
    last = None if shipped is None else Column("shipped", tiles, shipped)
    picture = sheet(tiles, ["left", "right"], moments, last)
    red = sum(count for count, colour in picture.getcolors(1 << 20) or [] if colour == (200, 0, 0))
    columns = 4 if last is None else 5
    assert 0.95 * columns * 2 * TILE**2 < red <= columns * 2 * TILE**2
