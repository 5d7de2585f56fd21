"""What every report compares models with: the exact render, the same through the autoencoder, and four dummy models.

A dummy model draws nothing of its own: a blank picture, the mean face at rest, the template itself, or the identity
picture itself. A metric on which one of them is better than the exact render does not measure what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from mien.core.progress import Bar, silent
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.pictures import open_folder
from mien.evaluation.control.run import Benchmark, ModelRun
from mien.evaluation.control.scene import Subject
from mien.evaluation.png import Pixels, read_png, write_png
from mien.evaluation.readings.arrays import Readings
from mien.evaluation.readings.read import read_images
from mien.evaluation.reconstruction import reconstructed
from mien.evaluation.statistics.scores import Comparable
from mien.faces.linear.state import ExpressionState

EXACT: Final = "exact"
AUTOENCODER: Final = "autoencoder"
DUMMIES: Final[Mapping[str, str]] = {
    "blank": "a black picture",
    "mean-face": "the mean face at rest, turned to the camera, for everybody",
    "copy-template": "the template's own picture",
    "copy-identity": "the identity picture itself",
}
"""Name -> what it draws."""


def baseline_runs(stage: Benchmark, context: EvaluationContext, bar: Bar = silent) -> dict[str, ModelRun]:
    """What the exact render, the autoencoder and the dummy models give for every pair of a benchmark.

    Args:
        stage: with renders; a user's own pictures have no exact render, so for those nothing is returned.
        context: readers, judges, renderer, and the pipeline whose autoencoder is used, if it has one.
        bar: makes progress bars.
    """
    if not stage.identities:
        return {}
    found = {EXACT: ModelRun(list(stage.answers), stage.exact, {}, stage.folder)}
    if getattr(context.pipeline, "vae", None) is not None:
        found[AUTOENCODER] = _through_autoencoder(stage, context, bar)
    people = [pair.person for pair in stage.pairs]
    pictures = {
        "blank": ([blank(context.size)], [0] * len(people)),
        "mean-face": ([mean_face(context, stage.identities[0])], [0] * len(people)),
        "copy-template": ([look.image for look in stage.wanted], [pair.target for pair in stage.pairs]),
        "copy-identity": ([look.image for look in stage.people], people),
    }
    for name, (images, rows) in pictures.items():
        outputs = repeated(read_images(context, images), rows)
        found[name] = ModelRun([], outputs, {}, stage.folder)
    return found


def blank(size: int) -> Pixels:
    """A black picture uint8 [S, S, 3]."""
    return np.zeros((size, size, 3), np.uint8)


def mean_face(context: EvaluationContext, subject: Subject) -> Pixels:
    """A render of the linear face's mean shape, neutral and frontal, with the look of a subject."""
    person = replace(subject.person, shape=tuple(0.0 for _ in subject.person.shape))
    scene = replace(subject.picture, expression=ExpressionState(), pose=(0.0, 0.0, 0.0))
    return np.asarray(context.render(Subject(person, scene)).image)


def repeated(readings: Readings, rows: Sequence[int]) -> Readings:
    """Rows of readings, any of them several times."""
    return Readings({name: values[np.asarray(rows, np.intp)] for name, values in readings.values.items()})


def refused(scores: Mapping[str, Mapping[str, Comparable]]) -> dict[str, list[str]]:
    """Metrics on which a dummy model is better than the exact render -> those dummies.

    Better is beyond chance: the whole 95 % interval of the difference from the same resamples, or the difference itself
    where a score has no interval.

    Args:
        scores: baseline -> metric -> score, those of `baseline_runs`.
    """
    found: dict[str, list[str]] = {}
    for metric, exact in scores.get(EXACT, {}).items():
        for name in DUMMIES:
            dummy = scores.get(name, {}).get(metric)
            if dummy is not None and _better(dummy, exact):
                found.setdefault(metric, []).append(name)
    return found


_EQUAL = 1e-5
"""Reported numbers have five decimals."""


def _better(dummy: Comparable, exact: Comparable) -> bool:
    """Whether a dummy is beyond chance better than the exact render; not where either has no value."""
    direction, found = exact.as_json()["better"], dummy.minus(exact)
    if found["value"] is None or direction == "zero":
        return False  # where the exact render is 0 by definition nothing is better
    low, high = (found["value"] if found[end] is None else found[end] for end in ("low", "high"))
    return low > _EQUAL if direction == "higher" else high < -_EQUAL


def _through_autoencoder(stage: Benchmark, context: EvaluationContext, bar: Bar) -> ModelRun:
    """The exact renders, encoded and decoded; decoded pictures are kept."""
    weights = {name: digest for name, digest in context.models.items() if name.startswith("vae/")}
    made_with = {"what": "autoencoder", "kit": context.kit, "inputs": stage.inputs, "models": weights}
    place = open_folder(stage.folder, made_with)
    files = [place / path.name for path in stage.answers]
    missing = [row for row, file in enumerate(files) if not file.exists()]
    if missing:
        with bar(len(missing), "autoencoder") as advance:
            pictures = reconstructed(context.pipeline.vae, [read_png(stage.answers[row]) for row in missing], advance)
        for row, pixels in zip(missing, pictures, strict=True):
            write_png(files[row], pixels)
    with bar(len(files), "reading") as advance:
        return ModelRun(files, read_images(context, files, advance, place), made_with, place)
