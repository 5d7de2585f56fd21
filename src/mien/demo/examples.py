"""The example inputs of the demo: renders of our own, shipped with the package, so nobody's photograph is needed.

They are made once, by ``render_examples``, from person seeds that no training or benchmark uses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.core.io import atomic_path, read_json, write_json
from mien.errors import MissingAsset

FOLDER = Path(__file__).parents[1] / "assets" / "examples"
INDEX = "examples.json"
SIZE = 256


@dataclass(frozen=True)
class Example:
    """One example picture.

    Attributes:
        name: what the sheet calls it.
        path: the PNG file.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Examples:
    """People to draw, and faces of other people whose expressions are wanted."""

    people: tuple[Example, ...]
    templates: tuple[Example, ...]

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Examples:
        """The shipped examples.

        Raises:
            MissingAsset: if they are not there.
        """
        if not (folder / INDEX).is_file():
            raise MissingAsset(f"The example pictures are missing from {folder}: install mien again.")
        index: dict[str, list[dict[str, Any]]] = read_json(folder / INDEX)
        groups = (
            tuple(Example(entry["name"], folder / entry["file"]) for entry in index[key])
            for key in ("people", "templates")
        )
        return cls(*groups)


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


def render_examples(folder: Path, kit: Path | None = None) -> Examples:
    """Render the example pictures and their index into ``folder``.

    Args:
        folder: where the PNG files and ``examples.json`` go.
        kit: the face kit; None looks where `mien.studio.FaceKit.load` looks.
    """
    from PIL import Image

    from mien.studio import FaceKit, Renderer, sample_person
    from mien.studio.plans import plan_scene

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
    return Examples.load(folder)


def expression(kind: str, variant: int) -> Any:
    """The `ExpressionState` of an emotion's variant or of a gesture."""
    from mien.faces.linear.expressions import preset_expression
    from mien.faces.linear.recipes import GESTURES, both_sides, plausible
    from mien.faces.linear.state import ExpressionState

    if kind in GESTURES:
        return ExpressionState.build(plausible(both_sides(GESTURES[kind])))
    return preset_expression(kind, 1.0, variant)
