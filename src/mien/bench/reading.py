"""What reading a photograph costs: each reader that is at hand, and what is made of a face."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mien.bench import machine
from mien.bench.timing import Run, pairs, take_turns
from mien.core.progress import Bar, silent
from mien.errors import MissingAsset, MissingDependency


def bench_reading(rounds: int = 5, bar: Bar = silent) -> dict[str, Any]:
    """Read the shipped examples with every reader, embed, crop and draw them, in turns.

    Args:
        rounds: turns that count.
        bar: makes progress bars.

    Returns:
        The report, as JSON: ``sides`` with the seconds for ``pictures`` pictures, and ``pairs``.
    """
    described = machine.describe("cpu", "float32")
    runs, pictures = _sides()
    with bar((rounds + 1) * len(runs), "reading") as advance:
        timings = take_turns(runs, rounds, advance=advance)
    readers = [name for name in ("mediapipe", "studio") if name in runs]
    asked = [(readers[0], name) for name in (*readers[1:], *(one for one in runs if one not in readers))]
    return {
        "bench": "reading",
        "machine": described,
        "pictures": pictures,
        "sides": {name: timing.as_json() for name, timing in timings.items()},
        "pairs": pairs(timings, asked),
    }


def _sides() -> tuple[dict[str, Run], int]:
    """Name -> a function that does one thing to every example picture."""
    from mien.demo.examples import Examples
    from mien.faces.drawing import draw_landmarks
    from mien.faces.observed import DetectedFace, embed_face, expression_crop, landmarks_of
    from mien.faces.open import open_reader
    from mien.faces.studio import StudioReader
    from mien.media.pictures import open_picture

    examples = Examples.load()
    images = [open_picture(one.path) for one in (*examples.people, *examples.templates)]
    own = StudioReader.from_pretrained()
    runs: dict[str, Run] = {}
    for name in ("mediapipe", "studio"):
        try:
            reader = open_reader(name, own)
        except (MissingAsset, MissingDependency):
            continue
        runs[name] = lambda reader=reader: [reader.read(image, "example").face() for image in images]
    faces = [own.read(image, "example").face() for image in images]
    # as a reader sees them that does not embed
    seen = [DetectedFace(image, replace(face, identity=None)) for image, face in zip(images, faces, strict=True)]
    runs["identity"] = lambda: [embed_face(one, own) for one in seen]
    runs["expression crop"] = lambda: [expression_crop(one) for one in seen]
    runs["landmark picture"] = lambda: [draw_landmarks(landmarks_of(one), 128) for one in seen]
    return runs, len(images)
