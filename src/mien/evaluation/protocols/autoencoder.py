"""Renders encoded and decoded: error of the pixels, the face judge's coefficients and the gaze."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.errors import MissingDependency
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.baselines import EXACT, blank, mean_face
from mien.evaluation.control.scene import Subject, varied_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.protocols.base import EvaluationRun, Protocol, Report
from mien.evaluation.readings.read import judge
from mien.evaluation.reconstruction import reconstructed
from mien.evaluation.report.assemble import assembled, baseline_report
from mien.evaluation.report.cases import Case, Cases
from mien.evaluation.statistics.bootstrap import resamples, weighted_means
from mien.evaluation.statistics.scores import Comparable, Score, finite
from mien.faces.linear.arkit import KIT_NAMES
from mien.faces.observed import largest_face
from mien.metrics.gaze import iris_offsets
from mien.metrics.reconstruction import REGIONS, decibels, region_mask, squared_error

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float64]

_BATCH = 32
_PARTS = {"coefficients": ("",), "eyelids": ("eyeBlink",), "mouth": ("jaw", "mouth")}
"""Name of a measure -> how the names of its driven coefficients begin."""


class AutoencoderProtocol(Protocol):
    """Renders of held-out people, encoded and decoded."""

    def run(self, run: EvaluationRun) -> Report:
        """Encode and decode renders of held-out people with each model's autoencoder.

        Args:
            run: ``settings`` has people, pictures a person (``targets``) and resamples; the folder is not used, since
                nothing here takes long enough to be kept.

        Returns:
            A report in which, for what reader and judge see, the ceiling is the same of the renders themselves, and
            the floor what they see in the decoded pictures compared with another person's picture.
        """
        settings, first, bar = run.settings, run.first, run.bar
        subjects = varied_subjects(settings.first_person, settings.people, settings.targets)
        with bar(len(subjects), "renders") as advance:
            drawn = []
            for one in subjects:
                drawn.append(first.render(one))
                advance(1)
        originals = [np.asarray(one.image) for one in drawn]
        points = np.stack([np.asarray(one.landmarks, np.float32) for one in drawn])
        people = np.repeat(np.arange(settings.people), settings.targets)
        weights = resamples([people], settings.draws, np.random.default_rng(0x766165))
        before = _errors(_read(first, originals, points), subjects, points)
        # other people's, since one person's pictures have no more in common than any two
        others = [*subjects[settings.targets :], *subjects[: settings.targets]]

        def scored(pictures: Sequence[Pixels]) -> dict[str, Comparable]:
            found = _psnr(pixel_errors(originals, pictures, points), weights) | _ssim(originals, pictures, weights)
            seen = _read(first, pictures, points)
            after = _errors(seen, subjects, points)
            floor = _errors(seen, others, np.roll(points, -settings.targets, 0))
            return found | {part: _score(rows, before[part], floor[part], weights) for part, rows in after.items()}

        scores: dict[str, dict[str, Comparable]] = {}
        cases: dict[str, Cases] = {}
        made: dict[str, dict[str, Any]] = {}
        for name, (_, tools) in run.models.items():
            with bar(len(originals), "decoding") as advance:
                decoded = reconstructed(tools.pipeline.vae, originals, advance)
            scores[name] = scored(decoded)
            cases[name] = _cases(originals, decoded, pixel_errors(originals, decoded, points)[""])
            made[name] = {"made_with": {file: one for file, one in tools.models.items() if file.startswith("vae/")}}
        count = len(originals)
        baselines = {
            EXACT: originals,
            "blank": [blank(first.size)] * count,
            "mean-face": [mean_face(first, subjects[0])] * count,
            "copy-template": [originals[(row + settings.targets) % count] for row in range(count)],
            "copy-identity": [originals[row - row % settings.targets] for row in range(count)],
        }
        report = assembled(_title(settings), settings, len(subjects), first, made, scores)
        report |= baseline_report({name: scored(pictures) for name, pictures in baselines.items()})
        return Report(report | {"protocol": self.name}, cases)


AUTOENCODER = AutoencoderProtocol("autoencoder", "renders encoded and decoded", 200, 3, None, ("identity",))


def pixel_errors(originals: Sequence[Pixels], decoded: Sequence[Pixels], points: NDArray[Any]) -> dict[str, Rows]:
    """Mean square error [N] of whole pictures, under "", and inside each of `REGIONS`; NaN where it is out of sight."""
    size = len(originals[0])
    found = {"": [squared_error(a, b) for a, b in zip(originals, decoded, strict=True)]}
    for region in REGIONS:
        masks = (region_mask(landmarks, region, size) for landmarks in points)
        found[region] = [squared_error(a, b, mask) for a, b, mask in zip(originals, decoded, masks, strict=True)]
    return {name: np.array(rows) for name, rows in found.items()}


def _psnr(errors: Mapping[str, Rows], weights: Rows) -> dict[str, Comparable]:
    """PSNR of the mean square error over all pictures, as the autoencoder's own validation has it."""
    return {
        f"psnr{'.' * bool(region)}{region}": Score(
            lambda counted, rows=rows: decibels(weighted_means(np.where(counted, rows, np.nan), weights)),
            np.isfinite(rows), None, None, "higher",
        )
        for region, rows in errors.items()
    }  # fmt: skip


def _ssim(originals: Sequence[Pixels], decoded: Sequence[Pixels], weights: Rows) -> dict[str, Comparable]:
    """SSIM (Wang et al. 2004) as torchmetrics has it; left out where that is not installed."""
    from mien.core.optional import require
    from mien.core.pixels import pictures_to_tensor

    try:
        image = require("torchmetrics.functional.image", extra="eval")
    except MissingDependency as error:
        log.warning("without SSIM: %s", error)
        return {}
    a, b = (pictures_to_tensor(pictures) for pictures in (originals, decoded))
    similar = image.structural_similarity_index_measure
    rows = np.concatenate([
        similar(a[start : start + _BATCH], b[start : start + _BATCH], reduction="none", data_range=(-1.0, 1.0))
        .double().reshape(-1).numpy()
        for start in range(0, len(a), _BATCH)
    ])  # fmt: skip
    return {"ssim": Score(lambda counted: weighted_means(np.where(counted, rows, np.nan), weights),
                          np.isfinite(rows), None, 1.0, "higher")}  # fmt: skip


class _Seen(NamedTuple):
    """What is read in N pictures.

    Attributes:
        reader: name of the reader.
        landmarks: its [N, 478, 3], NaN where it found no face.
        coefficients: the face judge's [N, 53].
    """

    reader: str
    landmarks: NDArray[Any]
    coefficients: NDArray[Any]
    legible: Sequence[int]


def _read(tools: EvaluationContext, pictures: Sequence[Pixels], points: NDArray[Any]) -> _Seen:
    """The judge's crops are placed by the exact landmarks."""
    coefficients = [
        judge(tools, pictures[start : start + _BATCH], points[start : start + _BATCH])["coefficients"]
        for start in range(0, len(pictures), _BATCH)
    ]
    found, landmarks = [largest_face(tools.readers[tools.first_reader], one) for one in pictures], points * np.nan
    for row, face in enumerate(found):
        if face is not None:
            landmarks[row] = face.landmarks
    return _Seen(tools.first_reader, landmarks, np.concatenate(coefficients), tools.judge_face.seen)


def _errors(seen: _Seen, of: Sequence[Subject], points: NDArray[Any]) -> dict[str, Rows]:
    """All errors of readings of planned pictures whose exact landmarks are ``points``."""
    return {
        f"{seen.reader}.gaze": gaze_errors(seen.landmarks, points),
        **judge_errors(seen.coefficients, of, seen.legible),
    }


def gaze_errors(landmarks: NDArray[Any], points: NDArray[Any]) -> Rows:
    """How far the irises that a reader sees are from where they are, in widths of the eye, [N]; NaN without a face.

    Args:
        landmarks: the reader's [N, 478, 3].
        points: exact [N, 478, 3].
    """
    return np.abs(iris_offsets(landmarks) - iris_offsets(points)).mean(-1)


def judge_errors(coefficients: NDArray[Any], of: Sequence[Subject], seen: Sequence[int]) -> dict[str, Rows]:
    """How far the face judge's readings are from what was driven in N planned pictures.

    Args:
        coefficients: [N, K], those that the judge can read.
        of: the planned pictures.
        seen: their K indices.

    Returns:
        ``judge.coefficients``, ``judge.eyelids`` and ``judge.mouth``: mean absolute differences [N].
    """
    driven = np.array([one.picture.expression.coefficients for one in of], np.float64)
    away = np.abs(coefficients - driven[:, list(seen)])
    found = {}
    for name, starts in _PARTS.items():
        chosen = [column for column, index in enumerate(seen) if KIT_NAMES[index].startswith(starts)]
        found[f"judge.{name}"] = away[:, chosen].mean(-1)
    return found


def _score(after: Rows, before: Rows, floor: Rows, weights: Rows) -> Score:
    """An error of a reading of decoded pictures, with that of the renders as ceiling."""
    low, high = (finite(float(weighted_means(rows, weights)[0])) for rows in (floor, before))
    return Score(lambda counted: weighted_means(np.where(counted, after, np.nan), weights), np.isfinite(after), low,
                 high, "lower")  # fmt: skip


def _cases(originals: Sequence[Pixels], decoded: Sequence[Pixels], errors: Rows) -> Cases:
    """The pictures that lose most and least."""
    order = np.argsort(errors, kind="stable")
    return {
        heading: [
            Case(f"picture-{row:04d}", [originals[row], decoded[row]], f"{decibels(errors[row]):.1f} dB")
            for row in rows
        ]
        for heading, rows in {"lose most: render, decoded": order[::-1][:6], "lose least": order[:6]}.items()
    }


def _title(settings: ControlSettings) -> str:
    return (
        f"{settings.people * settings.targets} renders, {settings.targets} of each of {settings.people} held-out "
        "studio people, encoded and decoded. PSNR in dB of the mean square error over all pictures; gaze: how far the "
        "irises that the reader sees are from where they are, in widths of the eye. Ceiling: reader and judge on the "
        "renders themselves. In parentheses: 95 % interval, bootstrap over people."
    )
