"""Each judge sees crops of its own size, and what it cannot read is not scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from mien.evaluation.control.measures import driven_values, measures
from mien.evaluation.control.scene import Subject
from mien.evaluation.readings.arrays import Readings
from mien.evaluation.readings.read import judge
from mien.faces.linear.arkit import KIT_NAMES
from mien.faces.networks import JudgeFace
from mien.studio.person import sample_person
from mien.studio.plans import plan_scene
from tests.evaluation.fake_control import FakeModel, fake_control_tools


class Noting:
    """Keeps the shapes of what it is shown."""

    def __init__(self, size: int, answer: dict[str, tuple[int, ...]] | tuple[int, ...]) -> None:
        self.config = {"size": size}
        self.seen = [0, 2, 5]
        self.answer = answer
        self.shown: list[tuple[int, ...]] = []

    def predict(self, crops: torch.Tensor) -> dict[str, torch.Tensor] | torch.Tensor:
        self.shown.append(tuple(crops.shape))
        if isinstance(self.answer, tuple):
            return torch.full((len(crops), *self.answer), 7.0)
        return {name: torch.arange(shape[0]).float().expand(len(crops), -1) for name, shape in self.answer.items()}


def test_judges_get_crops_of_their_own_size_and_only_legible_coefficients_are_kept() -> None:
    face = Noting(128, {"coefficients": (53,), "pose": (3,), "gaze": (2,), "emotion": (10,)})
    gaze = Noting(64, (2,))
    tools = replace(fake_control_tools(FakeModel()), judge_face=face, judge_gaze=gaze)
    points = np.random.default_rng(0).uniform(20, 100, (2, 478, 3)).astype(np.float32)
    points[1] = np.nan
    found = judge(tools, [np.zeros((128, 128, 3), np.uint8)] * 2, points)
    assert face.shown == [(2, 3, 128, 128)] and gaze.shown == [(2, 3, 3, 64, 64)]
    assert found["coefficients"][0].tolist() == [0, 2, 5]
    assert found["gaze"][0].tolist() == [7, 7]  # the gaze judge's, not the face judge's
    assert np.isnan(found["gaze"][1]).all() and np.isnan(found["coefficients"][1]).all()


def test_without_a_gaze_judge_nobody_is_scored_on_gaze() -> None:
    tools = fake_control_tools(FakeModel())
    found = judge(
        tools,
        [np.zeros((128, 128, 3), np.uint8)],
        np.random.default_rng(0).uniform(20, 100, (1, 478, 3)).astype(np.float32),
    )
    assert "gaze" not in found
    readings = Readings({f"judge.{name}": np.zeros((1, 4)) for name in ("coefficients", "pose", "emotion")})
    assert "judge.gaze" not in [one.name for one in measures([], readings)]
    with_gaze = Readings(readings.values | {"judge.gaze": np.zeros((1, 2))})
    assert "judge.gaze" in [one.name for one in measures([], with_gaze)]


def test_a_judge_knows_which_coefficients_it_can_read() -> None:
    assert JudgeFace().seen == list(range(53))  # nobody measured it
    read = dict.fromkeys(KIT_NAMES, 0.9) | {KIT_NAMES[3]: 0.1, KIT_NAMES[7]: -2.0, KIT_NAMES[8]: 0.2}
    net = JudgeFace(determination=read)
    assert net.seen == [index for index in range(53) if index not in (3, 7)]


def test_driven_values_follow_the_judge_and_hold_the_gaze() -> None:
    person = sample_person(5)
    plan = plan_scene(person, 4)
    values = driven_values([Subject(person, plan)], [1, 4])
    coefficients = plan.expression.coefficients
    assert values["judge.coefficients"].tolist() == [[coefficients[1], coefficients[4]]]
    assert values["judge.gaze"].tolist() == [list(plan.expression.gaze)]
