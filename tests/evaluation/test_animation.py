"""Drawn from the identity alone, then moved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.evaluation.control.animation import warp_face
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.protocols import EvaluationRun
from mien.evaluation.protocols.control import compare
from tests.evaluation.fake_control import FakeModel, fake_control_tools

pytest.importorskip("scipy", reason="scipy is not installed: pip install 'mien[studio]'")
POINTS = np.stack(np.meshgrid(np.linspace(20, 44, 5), np.linspace(20, 44, 5)), -1).reshape(-1, 2).astype(np.float32)


def ramp() -> np.ndarray:
    rows, columns = np.mgrid[:64, :64]
    return np.stack([columns * 4, rows * 4, np.full((64, 64), 7)], -1).astype(np.uint8)


def test_landmarks_that_stay_leave_the_picture() -> None:
    assert (warp_face(ramp(), POINTS, POINTS) == ramp()).all()


def test_what_lay_at_a_landmark_comes_to_its_new_place() -> None:
    moved = POINTS + np.array([5.0, -3.0], np.float32)
    found = warp_face(ramp(), POINTS, moved)
    for (x, y), (u, v) in zip(POINTS, moved, strict=True):
        assert np.abs(found[round(v), round(u)].astype(int) - ramp()[round(y), round(x)]).max() <= 1
    assert (found[0] == ramp()[0]).all() and (found[:, -1] == ramp()[:, -1]).all()


def test_landmarks_outside_the_picture_do_no_harm() -> None:
    found = warp_face(ramp(), POINTS, POINTS * 3 - 60)
    assert found.shape == (64, 64, 3) and np.isfinite(found).all()


def test_a_model_may_be_animated_and_its_pictures_are_kept_apart(tmp_path: Path, monkeypatch: Any) -> None:
    from mien.evaluation.control import run

    def animated(tools: Any, wanted: Any) -> Any:
        return lambda pair, picture: Image.fromarray(np.asarray(picture) // 2 + 60 * (pair.target % 2))

    monkeypatch.setattr(run, "animated", animated)
    settings = ControlSettings(people=3, targets=2, conditions=("identity",), look_alikes=0, cross_talk_people=0)
    models = {
        "still": (settings, fake_control_tools(FakeModel())),
        "moved": (replace(settings, animate=True), fake_control_tools(FakeModel())),
    }
    _, done, _ = compare(EvaluationRun(settings, models, tmp_path))
    pairs = zip(*(one.files for one in done.values()), strict=True)
    pictures = [tuple(np.asarray(Image.open(file)) for file in files) for files in pairs]
    assert len(pictures) == 6
    for row, (still, moved) in enumerate(pictures):
        assert (moved == still // 2 + 60 * (row % 2)).all()
    assert "animate" not in settings.of_pictures()
