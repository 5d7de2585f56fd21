"""Captions of studio pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.captions.compose import compose
from mien.faces.linear.emotions import emotion_of
from mien.studio.scene import attributes

if TYPE_CHECKING:
    from numpy.random import Generator

    from mien.studio.person import Person
    from mien.studio.scene import Scene


def caption(person: Person, picture: Scene, rng: Generator) -> str:
    """What is visible in a picture of a person, such as "portrait of a woman in her thirties with short ginger hair".

    The words come from a small closed vocabulary; parts are left out at random, so that a model learns to work from
    any subset of them. The same state of `rng` gives the same caption.
    """
    return compose(attributes(person, picture), picture.expression, emotion_of(picture.expression), picture.pose, rng)
