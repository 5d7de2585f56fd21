"""Pictures of the docs' tour and of the pages that explain the papers, drawn by the embedded model.

    python benchmarks/docs_tour.py [NAME ...]

Writes ``docs/images/tour-*.png`` and ``docs/images/explained-*.png``: what the pages' snippets give.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

import mien
from mien.demo.sheet import GAP, INK, MUTED, PAPER, TILE, paste, write
from mien.faces.drawing import draw_landmarks
from mien.generation.conditioning import build_inputs, open_inputs
from mien.generation.request import GenerateRequest
from mien.generation.tools import FaceTools

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "src" / "mien" / "assets" / "examples"
ADA, LAUGH = EXAMPLES / "person-Ada.png", EXAMPLES / "template-laugh.png"
MARGIN, LINE, LABEL = 20, 24, 104
Row = tuple[str, Sequence[tuple[str, Image.Image]]]


def sheet(name: str, rows: Sequence[Row]) -> None:
    """Rows of pictures with a word above each; a row's own name stands to its left."""
    left = MARGIN + (LABEL if any(title for title, _ in rows) else 0)
    columns, height = max(len(cells) for _, cells in rows), TILE + LINE + GAP
    size = left + columns * (TILE + GAP) - GAP + MARGIN, 2 * MARGIN + len(rows) * height - GAP
    canvas = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(canvas)
    for number, (title, cells) in enumerate(rows):
        top = MARGIN + number * height
        write(pen, (MARGIN, top + LINE + TILE // 2), title, 14, INK, "lm")
        for column, (words, picture) in enumerate(cells):
            x = left + column * (TILE + GAP)
            write(pen, (x + TILE // 2, top + LINE - 8), words, 13, MUTED, "ms")
            paste(canvas, picture, (x, top + LINE))
    canvas.save(ROOT / "docs" / "images" / f"{name}.png", optimize=True)


def draw(**wish: Any) -> Image.Image:
    """One picture of Ada, seed 1, by the bundled reader, unless the wish says otherwise."""
    (image,) = mien.generate(**{"identity": ADA, "seed": 1, "reader": "studio", **wish})
    return image


def landmark_images() -> list[tuple[str, Image.Image]]:
    """The three ways in which a landmark image is made."""
    tools = FaceTools.load("studio", "studio")
    kinds = frozenset({"landmarks"})
    ways: dict[str, dict[str, Any]] = {
        "raw": {"retarget": False}, "retargeted": {}, "built, yaw 30": {"yaw": 30},
        "built, jaw open": {"blendshapes": {"jawOpen": 0.8}},
    }  # fmt: skip
    found = []
    for words, options in ways.items():
        request = GenerateRequest.checked(identity=ADA, expression=LAUGH, reader="studio", **options)
        made = build_inputs(request, open_inputs(request), tools, 256, kinds)
        assert made.landmark_image is not None
        found.append((words, Image.fromarray(made.landmark_image)))
    return found


def reading() -> list[tuple[str, Image.Image]]:
    """A picture, what is read in it, and both over each other."""
    picture = Image.open(ADA).convert("RGB")
    points = np.asarray(mien.read(picture, reader="studio").landmarks)
    drawn = draw_landmarks(points, picture.width)
    over = np.where(drawn.max(-1, keepdims=True) > 0, drawn, np.asarray(picture) // 2).astype(np.uint8)
    return [("picture", picture), ("read in it", Image.fromarray(over)), ("478 landmarks", Image.fromarray(drawn))]


def main(names: Sequence[str]) -> None:
    for name, make in SHEETS.items():
        if not names or name in names:
            sheet(name, make())


def inputs() -> list[tuple[str, Image.Image]]:
    """The two pictures that most sheets start from."""
    return [(words, Image.open(path).convert("RGB")) for words, path in (("identity", ADA), ("expression", LAUGH))]


def portraits() -> list[Row]:
    """The same wish, four seeds."""
    pictures = mien.generate(identity=ADA, expression=LAUGH, reader="studio", n=4, seed=1)
    return [("", [*inputs(), *((f"seed {n}", one) for n, one in enumerate(pictures, 1))])]


def controls() -> list[Row]:
    """Each control by itself."""
    angles, strengths = (-30, -15, 0, 15, 30), (0.0, 0.25, 0.5, 0.75, 1.0)
    feelings = ("happy", "sad", "surprise", "anger", "disgust")
    return [
        ("head", [(f"yaw {angle}", draw(yaw=angle)) for angle in angles]),
        ("one muscle", [(f"jawOpen {one:g}", draw(blendshapes={"jawOpen": one})) for one in strengths]),
        ("a feeling", [(one, draw(emotion=one)) for one in feelings]),
    ]


def words() -> list[Row]:
    """The same person, described otherwise."""
    said = ("red hair", "a grey beard", "no glasses", "orange background")
    return [("", [(one, draw(describe=one)) for one in said])]


def strengths(option: str, letter: str, values: Sequence[float]) -> list[Row]:
    """A scale or a guidance weight of landmarks, and of emotion."""
    landmarks: dict[str, Any] = {"expression": LAUGH, "yaw": 25}
    return [
        (kind, [(f"{letter} = {value:g}", draw(**wish, **{option: {kind: value}})) for value in values])
        for kind, wish in (("landmarks", landmarks), ("emotion", {"emotion": "surprise"}))
    ]


SHEETS: dict[str, Callable[[], list[Row]]] = {
    "tour-portrait": portraits,
    "tour-controls": controls,
    "tour-reading": lambda: [("", reading())],
    "tour-words": words,
    "explained-landmarks": lambda: [("", [*inputs(), *landmark_images()])],
    "explained-scale": lambda: strengths("scales", "s", (0.0, 0.5, 1.0, 1.5)),
    "explained-guidance": lambda: strengths("guidance", "w", (0.0, 1.0, 2.0, 4.0)),
}


if __name__ == "__main__":
    main(sys.argv[1:])
