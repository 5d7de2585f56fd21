"""The main job on real photographs: every picture's person under every picture's expression.

    python benchmarks/photographs.py PHOTO [PHOTO ...]

The astronaut of scikit-image comes first. Writes ``docs/images/photographs.png`` (outputs only: no input photograph
goes into the project) and ``benchmarks/results/photographs.json``: for each output, which of the templates MediaPipe
finds nearest in expression (Exp); and the sentence of docs/getting-started.md that tells it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from docs_parts import write_tables
from PIL import Image, ImageDraw, ImageOps
from result_files import write_result

from mien.faces.mediapipe import MediaPipeReader
from mien.generation.generate import generate
from mien.generation.records import hashes
from mien.generation.request import GenerateRequest
from mien.generation.tools import FaceTools
from mien.metrics.expression import exp_distance
from mien.pipelines.load import load_pipeline

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "photographs.json"
TILE, GAP, MARGIN = 160, 8, 40
PAPER, INK = (250, 248, 244), (33, 30, 27)


def astronaut(folder: Path) -> Path:
    """The photograph, as a file."""
    from skimage import data

    path = folder / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the sentence, sentence."""
    count, templates = report["outputs"], round(1 / report["chance"])
    told = (
        f"A face was found in {report['faces_found']} of {count} outputs; {report['own_template_is_nearest']} of them "
        f"were nearest to their own template among the {templates} (chance: {count * report['chance']:.0f}), by "
        "MediaPipe ([numbers](../benchmarks/results/photographs.json))."
    )
    return {ROOT / "docs" / "getting-started.md": ("benchmarks/photographs.py", told)}


def main(photographs: list[Path]) -> None:
    reader = MediaPipeReader(max_faces=1)
    pipeline = load_pipeline("studio")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [astronaut(folder), *photographs]
        templates = [reader.read(Image.open(path).convert("RGB")).faces[0].blendshapes for path in paths]
        cells: list[dict[str, Any]] = []
        images: list[Image.Image] = []
        tools: FaceTools | None = None
        for row, person in enumerate(paths):
            for column, template in enumerate(paths):
                request = GenerateRequest.checked(
                    identity=person, expression=template, seed=1, output=folder / f"{row}-{column}"
                )
                tools = tools or FaceTools.load(request.base, request.reader)
                images.append(Image.open(generate(request, pipeline=pipeline, tools=tools)[0]).convert("RGB"))
                cells.append({"person": person.stem, "template": template.stem} | judge(reader, images[-1], templates))
                cells[-1]["own_is_nearest"] = cells[-1]["nearest"] == column
        assert tools is not None
        models = hashes(pipeline, tools)
        draw(paths, images).save(ROOT / "docs" / "images" / "photographs.png", optimize=True)
    summary = {
        "faces_found": sum(cell["nearest"] is not None for cell in cells),
        "own_template_is_nearest": sum(cell["own_is_nearest"] for cell in cells),
        "outputs": len(cells),
        "chance": 1 / len(paths),
    }
    report = {"reader": "mediapipe", **summary, "cells": cells, "models": models}
    write_result(RESULT, report)
    write_tables(tables(report))
    print(summary)  # noqa: T201


def judge(reader: MediaPipeReader, image: Image.Image, templates: list[Any]) -> dict[str, Any]:
    """Exp to each template, and the nearest."""
    faces = reader.read(image).faces
    if not faces or faces[0].blendshapes is None:
        return {"exp": None, "nearest": None}
    distances = [float(exp_distance(template, faces[0].blendshapes)) for template in templates]
    return {"exp": [round(value, 4) for value in distances], "nearest": int(np.argmin(distances))}


def draw(paths: list[Path], images: list[Image.Image]) -> Image.Image:
    """Outputs, one row a person, one column a template."""
    count = len(paths)
    side = MARGIN * 2 + count * (TILE + GAP)
    sheet = Image.new("RGB", (side + 60, side), PAPER)
    pen = ImageDraw.Draw(sheet)
    for index, path in enumerate(paths):
        at = MARGIN + index * (TILE + GAP)
        pen.text((at + 60, MARGIN - 18), path.stem, INK)
        pen.text((8, at + TILE // 2), path.stem, INK)
    for index, image in enumerate(images):
        row, column = divmod(index, count)
        tile = ImageOps.fit(image, (TILE, TILE), Image.Resampling.LANCZOS)
        sheet.paste(tile, (MARGIN + 60 + column * (TILE + GAP), MARGIN + row * (TILE + GAP)))
    return sheet


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
