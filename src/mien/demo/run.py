"""``run``: draws the demo in batches, reads the results back, and writes page, sheet and numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.core.io import check_writable, sha256_of, write_json, write_text
from mien.core.progress import Bar, silent
from mien.demo.examples import FOLDER, Examples
from mien.demo.measure import Metric, Outcome, cell_numbers, table
from mien.demo.plan import Cell, plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from mien.faces.observed import DetectedFace
    from mien.faces.types import Face, Picture, Reading
    from mien.generation.conditioning import PipelineInputs
    from mien.generation.tools import Embedding, FaceTools
    from mien.pipelines.portrait import PortraitPipeline
    from mien.provenance.record import Record

BATCH = 14
"""Pictures that go through the model together: two rows of the sheet."""


def run(
    output: Path,
    *,
    base: str = "studio",
    reader: str = "auto",
    speed: str = "fast",
    steps: int | None = None,
    seed: int = 1,
    examples: Path = FOLDER,
    pipeline: PortraitPipeline | None = None,
    tools: FaceTools | None = None,
    bar: Bar = silent,
    made_by: Mapping[str, Any] | None = None,
) -> Path:
    """Draw and measure the demo.

    Args:
        output: folder for ``index.html``, ``sheet.png``, ``metrics.json`` and ``pictures/``, where each picture is
            written as soon as it is drawn.
        base: as for `mien.generation.request.GenerateRequest`.
        reader: who reads the inputs and measures the outputs.
        speed: as for `mien.generation.request.GenerateRequest`; the default keeps the demo under a minute on two cores.
        steps: denoising steps; 25 when None, or as many as the speed ``few`` was distilled for.
        seed: seed of every picture.
        examples: folder of the example pictures.
        pipeline: a loaded pipeline; the base's if None.
        tools: readers; those of the base if None.
        bar: shows how many inputs are read, pictures drawn, and pictures measured.
        made_by: what ``metrics.json`` says of the command, the machine and the weights.

    Returns:
        The page.

    Raises:
        MienError: if the folder cannot be written, or weights are missing.
    """
    from mien.demo.page import page
    from mien.demo.sheet import sheet
    from mien.generation.tools import FaceTools
    from mien.pipelines.load import load_pipeline
    from mien.provenance.png import write_picture

    started = time.perf_counter()
    inputs = Examples.load(examples)
    cells = plan(inputs, base=base, reader=reader, speed=speed, steps=steps, seed=seed)
    files = [output / "pictures" / cell.file_name for cell in cells]
    check_writable([*(output / name for name in ("index.html", "sheet.png", "metrics.json")), *files])
    tools = tools or FaceTools.load(cells[0].request.base, cells[0].request.reader)
    drawn_by = pipeline or load_pipeline(base)
    steerings = _read_all(cells, inputs, drawn_by, tools, bar)
    targets = [
        one.seen["expression"].face if cell.template else None for cell, one in zip(cells, steerings, strict=True)
    ]
    people = _embeddings(cells, steerings, inputs)
    record = _record(cells[0], inputs, drawn_by, tools)
    images: list[Image.Image] = []
    with bar(len(cells), "drawing") as advance:
        for image, file in zip(_draw_all(cells, steerings, drawn_by, advance), files, strict=True):
            write_picture(file, image, record)
            images.append(image)
    drawn = time.perf_counter()
    outcomes = []
    with bar(len(cells), "measuring") as advance:
        for image, target in zip(images, targets, strict=True):
            outcomes.append(_look(image, target, tools))
            advance(1)
    names = [person.name for person in inputs.people]
    metrics = table(cells, outcomes, people, names)
    numbers = [
        cell_numbers(cell, outcome, people[names.index(cell.person.name)])
        for cell, outcome in zip(cells, outcomes, strict=True)
    ]
    facts = {
        "mien": __version__,
        "base": base,
        "reader": tools.reader_name,
        "speed": speed,
        "steps": cells[0].request.steps,
        "seed": seed,
        "pictures": len(cells),
        "seconds": {"drawing": round(drawn - started, 1), "all": round(time.perf_counter() - started, 1)},
    }
    write_picture(output / "sheet.png", sheet(cells, images, inputs), record)
    report = {**facts, "metrics": _by_name(metrics), "cells": _listed(cells, numbers)}
    write_json(output / "metrics.json", report if made_by is None else report | {"made_by": dict(made_by)})
    html = page(cells, [file.read_bytes() for file in files], inputs, metrics, numbers, facts)
    write_text(output / "index.html", html)
    return output / "index.html"


def batches(cells: Sequence[Cell]) -> list[list[int]]:
    """Indices of cells in groups of at most `BATCH` that share a section and so a set of conditions."""
    groups: list[list[int]] = []
    for index, cell in enumerate(cells):
        last = groups[-1] if groups else []
        if not last or len(last) == BATCH or cells[last[0]].section != cell.section:
            groups.append(last := [])
        last.append(index)
    return groups


def _read_all(
    cells: Sequence[Cell], examples: Examples, pipeline: PortraitPipeline, tools: FaceTools, bar: Bar
) -> list[PipelineInputs]:
    """The conditions of every cell; each example is read once."""
    from mien.generation.conditioning import build_inputs, open_inputs
    from mien.pipelines.load import branch_kinds, picture_size

    size, kinds = picture_size(pipeline), branch_kinds(pipeline)
    with bar(len(examples.people) + len(examples.templates), "reading") as advance:
        tools = _remembering(tools, advance)
        return [build_inputs(cell.request, open_inputs(cell.request), tools, size, kinds) for cell in cells]


def _draw_all(
    cells: Sequence[Cell],
    steerings: Sequence[PipelineInputs],
    pipeline: PortraitPipeline,
    advance: Callable[[int], object],
) -> Iterator[Image.Image]:
    """The pictures of all cells, batch by batch."""
    from mien.generation.generate import draw_requested

    for group in batches(cells):
        request = cells[group[0]].request
        yield from draw_requested(pipeline, request, [steerings[index] for index in group], [request.seed] * len(group))
        advance(len(group))


def _embeddings(cells: Sequence[Cell], steerings: Sequence[PipelineInputs], examples: Examples) -> NDArray[np.float32]:
    """The people's identity embeddings [P, 512]."""
    import numpy as np

    both = zip(cells, steerings, strict=True)
    own = {cell.person.name: steering.identity for cell, steering in both if steering.identity is not None}
    return np.stack([own[person.name] for person in examples.people])


def _remembering(tools: FaceTools, advance: Callable[[int], object]) -> FaceTools:
    """The same tools, reading each input file once and counting it: every example stands in many cells."""
    from mien.faces.types import OneFace

    readings: dict[str, Reading] = {}
    embeddings: dict[int, Embedding] = {}

    def read(image: Picture, source: str) -> Reading:
        if source not in readings:  # the one face that is used: that there are others is said once
            readings[source] = OneFace(tools.read(image, source).face(), source)
            advance(1)
        return readings[source]

    def embed(seen: DetectedFace) -> Embedding:
        if id(seen.face) not in embeddings:  # the faces stay alive in ``readings``, so an id is not used twice
            embeddings[id(seen.face)] = tools.embed(seen)
        return embeddings[id(seen.face)]

    return replace(tools, read=read, embed=embed)


def _look(image: Image.Image, target: Face | None, tools: FaceTools) -> Outcome:
    from mien.faces.observed import DetectedFace, largest_face

    face = largest_face(tools, image, "an output")
    return Outcome(face, None if face is None else tools.embed(DetectedFace(image, face))[0], target)


def _record(cell: Cell, examples: Examples, pipeline: PortraitPipeline, tools: FaceTools) -> Record:
    """One record for the sheet and every picture on the page: they come from one run."""
    from mien.generation.records import hashes
    from mien.provenance.fingerprint import environment
    from mien.provenance.record import Record

    inputs = {example.path.stem: sha256_of(example.path) for example in (*examples.people, *examples.templates)}
    drawn = cell.request.model_dump(include={"base", "speed", "steps", "seed"})
    return Record(
        mien=__version__,
        settings={"demo": True, **drawn, "reader": tools.reader_name},
        index=0,
        inputs=inputs,
        models=hashes(pipeline, tools),
        environment=environment(str(pipeline.device)),
    )


def _by_name(metrics: Sequence[Metric]) -> dict[str, Any]:
    return {metric.name: {key: value for key, value in asdict(metric).items() if key != "name"} for metric in metrics}


def _listed(cells: Sequence[Cell], numbers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"section": cell.section, "person": cell.person.name, "setting": cell.label, **found}
        for cell, found in zip(cells, numbers, strict=True)
    ]
