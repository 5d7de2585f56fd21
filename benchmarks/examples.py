"""The example pictures of the demo, which ship with the package: rendered once, and committed.

python benchmarks/examples.py [KIT]      # the face kit; without it where `mien.studio.FaceKit.load` looks
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from mien.core.io import atomic_path, write_json
from mien.demo.examples import FOLDER, INDEX
from mien.faces.linear.expressions import preset_expression
from mien.faces.linear.recipes import GESTURES, both_sides, plausible
from mien.faces.linear.state import ExpressionState
from mien.studio import FaceKit, Renderer, sample_person
from mien.studio.plans import plan_scene

SIZE = 256

PEOPLE: tuple[tuple[str, int], ...] = (
    ("Ada", 800_029),
    ("Bo", 800_045),
    ("Cleo", 800_019),
    ("Dara", 800_017),
    ("Eli", 800_040),
)
"""(name, person seed)."""

TEMPLATES: tuple[tuple[str, int, str, int, tuple[float, float, float]], ...] = (
    ("laugh", 800_055, "happy", 1, (0.0, 2.0, 0.0)),
    ("surprise", 800_034, "surprise", 1, (0.0, 0.0, 0.0)),
    ("sorrow", 800_052, "sad", 0, (8.0, -4.0, 6.0)),
    ("anger", 800_032, "anger", 1, (-10.0, -2.0, 0.0)),
    ("wink", 800_005, "wink", 0, (12.0, 0.0, -6.0)),
    ("doubt", 800_015, "sceptical", 0, (6.0, 0.0, 8.0)),
    ("kiss", 800_004, "kiss", 0, (-14.0, 3.0, 4.0)),
)
"""(name, person seed, emotion or gesture, its variant, head pose)."""


def render_examples(folder: Path, kit: Path | None) -> None:
    """The PNG files and their index."""
    renderer = Renderer(FaceKit.load(kit), SIZE)

    def save(name: str, person_seed: int, change: dict[str, Any]) -> dict[str, Any]:
        person = sample_person(person_seed)
        render = renderer.render(person, replace(plan_scene(person, 0), **change))
        with atomic_path(folder / f"{name}.png") as temporary:
            Image.fromarray(render.image).save(temporary, "PNG", optimize=True)
        return {"name": name.partition("-")[2], "file": f"{name}.png", "person": person_seed}

    people = [save(f"person-{name}", seed, {"pose": (0.0, 0.0, 0.0)}) for name, seed in PEOPLE]
    templates = [
        save(f"template-{name}", seed, {"expression": expression(kind, variant), "pose": pose, "glasses": None})
        for name, seed, kind, variant, pose in TEMPLATES
    ]
    write_json(folder / INDEX, {"people": people, "templates": templates})


def expression(kind: str, variant: int) -> ExpressionState:
    """That of an emotion's variant or of a gesture."""
    if kind in GESTURES:
        return ExpressionState.build(plausible(both_sides(GESTURES[kind])))
    return preset_expression(kind, 1.0, variant)


if __name__ == "__main__":
    render_examples(FOLDER, Path(sys.argv[1]) if sys.argv[1:] else None)
