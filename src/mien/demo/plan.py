"""What the demo draws: people by expressions, poses and emotions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mien.conditions import EMOTIONS
from mien.demo.examples import Example, Examples
from mien.generation.request import GenerateRequest

Section = Literal["expression", "pose", "emotion"]

POSES: tuple[tuple[str, float, float], ...] = (
    ("far right", -32.0, 0.0),
    ("right", -16.0, 0.0),
    ("ahead", 0.0, 0.0),
    ("left", 16.0, 0.0),
    ("far left", 32.0, 0.0),
    ("up", 0.0, 16.0),
    ("down", 0.0, -16.0),
)
"""(label, yaw, pitch) in degrees; left is the subject's."""

ROWS: dict[Section, int | None] = {"expression": None, "pose": 2, "emotion": 2}
"""How many people each section shows; None is all."""


@dataclass(frozen=True)
class Cell:
    """One picture of the demo.

    Attributes:
        section: which dial is turned.
        row: index of the person.
        column: index of the setting.
        person: who is drawn.
        label: the setting, in words.
        request: what is asked for.
        template: the expression picture, in section "expression".
        pose: the wanted (yaw, pitch) in degrees, in section "pose".
    """

    section: Section
    row: int
    column: int
    person: Example
    label: str
    request: GenerateRequest
    template: Example | None = None
    pose: tuple[float, float] | None = None

    @property
    def file_name(self) -> str:
        """Such as ``expression-Ada-laugh.png``, in letters that every file system takes."""
        words = (self.section, self.person.name, self.label)
        return "-".join(re.sub(r"[^\w]+", "-", word).strip("-") for word in words) + ".png"


def plan(examples: Examples, **settings: Any) -> list[Cell]:
    """All cells, section by section and row by row; ``settings`` go into every request (base, reader, steps, seed)."""
    cells = []
    for row, person in enumerate(examples.people):
        for column, template in enumerate(examples.templates):
            request = _request(person, settings, expression=template.path)
            cells.append(Cell("expression", row, column, person, template.name, request, template=template))
    for row, person in enumerate(examples.people[: ROWS["pose"]]):
        for column, (label, yaw, pitch) in enumerate(POSES):
            request = _request(person, settings, yaw=yaw, pitch=pitch)
            cells.append(Cell("pose", row, column, person, label, request, pose=(yaw, pitch)))
    for row, person in enumerate(examples.people[-(ROWS["emotion"] or 0) :]):
        for column, emotion in enumerate(EMOTIONS[1:]):
            request = _request(person, settings, emotion=f"{emotion}:1.0")
            cells.append(Cell("emotion", row, column, person, emotion, request))
    return cells


def _request(person: Example, settings: dict[str, Any], **wanted: Any) -> GenerateRequest:
    # one seed for all pictures of the demo: what changes along a row is the dial alone
    return GenerateRequest.checked(identity=Path(person.path), **wanted, **settings)


def signed(degrees: float) -> str:
    """An angle with its sign, such as -16 or +32; 0 has none."""
    return "0" if round(degrees) == 0 else f"{degrees:+.0f}"
