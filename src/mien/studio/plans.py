"""The pictures of a person that data sets hold, by number."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from mien.studio.expression_sampling import photo_like_expression
from mien.studio.person import Person
from mien.studio.scene import Scene, sample_scene, sample_wide_scene

PHOTO_LIKE: Final = 3
"""The first pictures of each person look like photographs: nearly frontal, neutral, mild or happy."""
WIDE_EVERY: Final = 6
"""One picture in so many shows heads turned far and any lens, see `sample_wide_scene`."""
_PHOTO_SALT: Final = 0x70686F74


def plan_scene(person: Person, number: int) -> Scene:
    """Scene `number` of a person as data sets hold it.

    Numbers 0, 1 and 2 look like photographs (|yaw| < 15 degrees; number 0 nearly frontal, nearly neutral, eyes open
    and into the camera); number 5 and each sixth after it is `sample_wide_scene`; the others are `sample_scene`.
    """
    if number % WIDE_EVERY == WIDE_EVERY - 1:
        return sample_wide_scene(number, person)
    picture = sample_scene(number, person)
    if number >= PHOTO_LIKE:
        return picture
    rng = np.random.default_rng([number, _PHOTO_SALT, person.seed])
    spread = 0.4 if number == 0 else 1.0
    deviation, limit = np.array([6.0, 4.0, 3.0]) * spread, np.array([14.0, 9.0, 8.0]) * spread
    yaw, pitch, roll = (float(v) for v in np.clip(rng.normal(size=3) * deviation, -limit, limit))
    return replace(picture, pose=(yaw, pitch, roll), expression=photo_like_expression(rng, calm=number == 0))


def plan_portrait(person: Person, number: int) -> Scene:
    """Scene `number` as a photograph: all of its look, with the expression and pose of one of the first pictures.

    A face embedding of it says what somebody's photograph says: the look, and nothing of the expression to be drawn.
    """
    return plan_scene(person, number).showing(plan_scene(person, number % PHOTO_LIKE))
