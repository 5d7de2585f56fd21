"""The dials of the cross-talk matrix: each turns one condition of a base setting and leaves all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.conditions import EMOTIONS, Emotion
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.scene import Subject
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.steer import Look, active, crop_of, embed, look_at
from mien.faces.drawing import draw_landmarks
from mien.faces.linear.expressions import preset_expression
from mien.faces.linear.face import LinearFace
from mien.faces.linear.state import ExpressionState
from mien.generation.conditioning import PipelineInputs

if TYPE_CHECKING:
    from torch import Tensor

TURN = 25.0
"""Degrees by which the pose dial turns the head, to either side."""

BACKGROUNDS = ("blue", "orange")
"""In the base prompt, and in the turned one."""
PROMPT = f"photo of a id person, {BACKGROUNDS[0]} background"
"""Without the condition identity, ``id`` is left out."""


@dataclass(frozen=True, eq=False)
class Base:
    """The base settings of M people and all that the dials need.

    Attributes:
        steerings: neutral, frontal, base prompt; a row a person.
        looks: the people's pictures.
        donors: [M] plans of other people, who lend their expression pictures.
    """

    steerings: list[PipelineInputs]
    looks: list[Look]
    donors: Sequence[Subject]


Dial = Callable[[EvaluationContext, Base, int], PipelineInputs]


def feeling(row: int) -> str:
    """The emotion that a row's expression and emotion dials turn to: all seven in turn."""
    return EMOTIONS[1 + row % (len(EMOTIONS) - 1)]


def base_settings(
    tools: EvaluationContext, settings: ControlSettings, looks: list[Look], donors: Sequence[Subject]
) -> Base:
    """Every condition the model has and the settings ask for, at its base."""
    used = active(settings, tools.kinds)
    words = PROMPT if "identity" in used else PROMPT.replace(" id", "")
    rows = []
    for row, look in enumerate(looks):
        rows.append(
            PipelineInputs(
                prompt=words,
                identity=embed(tools, look) if "identity" in used else None,
                landmark_image=_landmarks(tools, look, ExpressionState(), 0.0) if "landmarks" in used else None,
                expression=_crop(tools, donors[row], ExpressionState()) if "expression" in used else None,
                emotion=Emotion.of("neutral") if "emotion" in used else None,
            )
        )
    return Base(rows, looks, donors)


def dials(base: Base) -> dict[str, Dial]:
    """The dials that this base has."""
    first = base.steerings[0]
    found: dict[str, Dial] = {}
    if first.landmark_image is not None:
        found |= {"landmark pose": _turn_pose, "landmark expression": _turn_landmarks}
    if first.identity is not None:
        found["identity"] = _turn_identity
    if first.emotion is not None:
        found["emotion"] = _turn_emotion
    if first.expression is not None:
        found["expression picture"] = _turn_expression
    return found | {"prompt's background": _turn_background}


def _turn_pose(tools: EvaluationContext, base: Base, row: int) -> PipelineInputs:
    picture = _landmarks(tools, base.looks[row], ExpressionState(), TURN if row % 2 else -TURN)
    return replace(base.steerings[row], landmark_image=picture)


def _turn_landmarks(tools: EvaluationContext, base: Base, row: int) -> PipelineInputs:
    picture = _landmarks(tools, base.looks[row], preset_expression(feeling(row)), 0.0)
    return replace(base.steerings[row], landmark_image=picture)


def _turn_identity(tools: EvaluationContext, base: Base, row: int) -> PipelineInputs:
    return replace(base.steerings[row], identity=base.steerings[row - 1].identity)


def _turn_emotion(tools: EvaluationContext, base: Base, row: int) -> PipelineInputs:
    return replace(base.steerings[row], emotion=Emotion.of(feeling(row)))


def _turn_expression(tools: EvaluationContext, base: Base, row: int) -> PipelineInputs:
    return replace(base.steerings[row], expression=_crop(tools, base.donors[row], preset_expression(feeling(row))))


def _turn_background(tools: EvaluationContext, base: Base, row: int) -> PipelineInputs:
    prompt = base.steerings[row].prompt or ""
    return replace(base.steerings[row], prompt=prompt.replace(*BACKGROUNDS))


def _landmarks(tools: EvaluationContext, look: Look, state: ExpressionState, yaw: float) -> NDArray[np.uint8]:
    """A landmark picture of the linear face with the person's face shape; ``yaw`` in degrees."""
    points = LinearFace.load().landmarks(
        state.coefficients, pose=(yaw, 0.0, 0.0), gaze=state.gaze, shape=look.face_shape, size=tools.size
    )
    return draw_landmarks(points, tools.size)


def _crop(tools: EvaluationContext, donor: Subject, state: ExpressionState) -> Tensor:
    """The donor's face, frontal, with an expression."""
    picture = replace(donor.picture, expression=state, pose=(0.0, 0.0, 0.0))
    return crop_of(look_at(tools, tools.render(Subject(donor.person, picture))), tools.pipeline)
