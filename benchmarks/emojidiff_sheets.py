"""Two sheets of the E-Adapter: words with expressions (EmojiDiff C.2), and photographs as templates.

    python benchmarks/emojidiff_sheets.py SPEC PHOTO [PHOTO ...]

SPEC is a model of ``mien evaluate``; identities are the embedded studio people, through the identity branch. The
astronaut of scikit-image is the first photograph. Writes ``docs/images/emojidiff-text.png`` and
``emojidiff-photographs.png`` (outputs only) and ``benchmarks/results/emojidiff_sheets.json``: which template MediaPipe
finds nearest in expression (Exp) to each output, and how often it is the picture's own.
"""

from __future__ import annotations

from mien.core.openmp import wait_passively  # noqa: F401 # isort: skip - importing mien says it before torch loads

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from result_files import write_result

from mien.demo.examples import Examples
from mien.faces.mediapipe import MediaPipeReader
from mien.faces.observed import DetectedFace, expression_crop
from mien.generation.sweep import mount
from mien.generation.tools import FaceTools
from mien.metrics.expression import exp_distance
from mien.pipelines.spec import load_spec
from mien.provenance.png import write_picture

ROOT = Path(__file__).resolve().parents[1]
WORDS = {
    "teal": "portrait of a person, teal background",
    "left light": "portrait of a person, light from the left",
    "glasses": "portrait of a person with round glasses",
    "ginger": "portrait of a person with ginger hair",
}
SEED = 1


def main(spec: str, photographs: list[Path]) -> None:
    from skimage import data

    pipeline, tools, examples = load_spec(spec).load(), FaceTools.load("studio", "mediapipe"), Examples.load()
    pipeline.set_progress_bar_config(disable=True)
    people = [tools.embed(seen(tools, one.path))[0] for one in examples.people[:3]]
    names = [one.name for one in examples.people[:3]]
    found = {"astronaut": detected(tools, Image.fromarray(data.astronaut()), "the astronaut")}
    found |= {place.stem: seen(tools, place) for place in photographs}
    own = {one.name: seen(tools, one.path) for one in examples.templates[:4]}
    told: dict[str, Any] = {"spec": spec, "seed": SEED}
    rows = [(name, embedding, None) for name, embedding in zip(names, people, strict=True)]
    told["photographs"] = sheet(pipeline, rows, found, "emojidiff-photographs")
    rows = [(said, people[0], prompt) for said, prompt in WORDS.items()]
    told["text"] = sheet(pipeline, rows, own, "emojidiff-text")
    command = f"python benchmarks/emojidiff_sheets.py {spec} PHOTO ..."
    write_result(ROOT / "benchmarks" / "results" / "emojidiff_sheets.json", {"command": command} | told)


def seen(tools: FaceTools, place: Path) -> DetectedFace:
    """A file's picture and its largest face."""
    with Image.open(place) as image:
        return detected(tools, image.convert("RGB"), place.name)


def detected(tools: FaceTools, picture: Image.Image, name: str) -> DetectedFace:
    """A picture and its largest face."""
    return DetectedFace(picture, tools.read(picture, name).faces[0])


def sheet(
    pipeline: Any, rows: Sequence[tuple[str, np.ndarray, str | None]], templates: dict[str, DetectedFace], name: str
) -> dict[str, Any]:
    """Draw a row a person or prompt, a column a template; judge each picture's expression."""
    reader = MediaPipeReader(max_faces=1)
    crops = torch.cat([expression_crop(one) for one in templates.values()])
    shapes = [one.face.blendshapes for one in templates.values() if one.face.blendshapes is not None]
    images, captions, cells = [], [], []
    for label, embedding, prompt in rows:
        identity = torch.from_numpy(embedding)[None].expand(len(crops), -1)
        generators = [torch.Generator().manual_seed(SEED) for _ in crops]
        drawn = pipeline(prompt=prompt, identity=identity, expression=crops, identity_mode="branch",
                         scales={"expression": 1.0}, generator=generators).images  # fmt: skip
        for column, (template, picture) in enumerate(zip(templates, drawn, strict=True)):
            faces = reader.read(picture, label).faces
            if faces and faces[0].blendshapes is not None:
                distances = [float(exp_distance(shape, faces[0].blendshapes)) for shape in shapes]
                nearest = int(np.argmin(distances)) == column
            else:
                distances, nearest = None, False
            cells.append({"row": label, "template": template, "exp": distances, "own_is_nearest": nearest})
            images.append(picture)
            captions.append(f"{label} / {template}")
    write_picture(ROOT / "docs" / "images" / f"{name}.png", mount(images, captions, len(templates)), None)
    return {"own_is_nearest": sum(cell["own_is_nearest"] for cell in cells), "outputs": len(cells),
            "chance": 1 / len(templates), "cells": cells}  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], [Path(word) for word in sys.argv[2:]])
