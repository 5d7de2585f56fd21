"""Which held-out people's pictures are the targets: balanced over the eight emotions and three intensities.

Of random pictures half are neutral, so that a model which never moves a face would be right half of the time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from mien.conditions import EMOTIONS
from mien.evaluation.control.settings import TARGET_PICTURE
from mien.faces.linear.emotions import emotion_of, emotion_strengths
from mien.faces.linear.state import ExpressionState
from mien.studio.person import Person, sample_person
from mien.studio.plans import plan_scene

INTENSITIES: Final = ("mild", "clear", "strong")
_EDGES: Final = (0.5, 0.75)
"""Strengths of an emotion at which it is clear, and strong (*inferred*: about the terciles of random pictures)."""
_LIMIT: Final = 10_000
"""Seeds that are looked at; the next hundreds suffice for a hundred targets."""

Cell = tuple[str, str]
"""An emotion and an intensity; neutral has none, written ``""``."""


def cell_of(expression: ExpressionState) -> Cell:
    """The likeliest emotion of a face, and how strongly it shows."""
    emotion = emotion_of(expression).label
    if emotion == "neutral":
        return emotion, ""
    strength = emotion_strengths(expression)[emotion]
    return emotion, INTENSITIES[sum(strength >= edge for edge in _EDGES)]


def wanted_cell(row: int) -> Cell:
    """The cell of a row of the targets: the eight emotions in turn, intensities rotating from one to the next."""
    turn, emotion = divmod(row, len(EMOTIONS))
    name = EMOTIONS[emotion]
    return name, "" if name == "neutral" else INTENSITIES[(turn + emotion) % len(INTENSITIES)]


@lru_cache(maxsize=8)
def balanced_people(first: int, count: int) -> tuple[Person, ...]:
    """The people whose picture ``TARGET_PICTURE`` is a target: each row takes the first free seed of its cell.

    The choice is a function of the arguments alone; fewer targets are the first of more.

    Args:
        first: seed from which on people are looked at, in order.
        count: number of targets.

    Raises:
        ValueError: if the seeds run out.
    """
    waiting: dict[Cell, list[int]] = {}
    for row in range(count):
        waiting.setdefault(wanted_cell(row), []).append(row)
    found: dict[int, Person] = {}
    for seed in range(first, first + _LIMIT):
        if len(found) == count:
            break
        person = sample_person(seed)
        rows = waiting.get(cell_of(plan_scene(person, TARGET_PICTURE).expression))
        if rows:
            found[rows.pop(0)] = person
    if len(found) < count:
        raise ValueError(f"{count} targets are more than {_LIMIT} seeds have")
    return tuple(found[row] for row in range(count))
