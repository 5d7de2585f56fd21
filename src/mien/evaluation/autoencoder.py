"""What the autoencoder keeps: pixels in all and around eyes and mouth, and what the face judge still reads there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.bars import Bar, silent
from mien.errors import MissingDependency
from mien.evaluation.assemble import assembled
from mien.evaluation.bootstrap import resamples, weighted_means
from mien.evaluation.control.observe import judge
from mien.evaluation.control.scene import Subject, varied_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.tools import ControlTools
from mien.evaluation.metrics.pose import pose_error
from mien.evaluation.metrics.reconstruction import REGIONS, decibels, region_mask, squared_error
from mien.evaluation.page import Case, Cases
from mien.evaluation.scores import Comparable, Score, finite
from mien.studio.arkit import KIT_NAMES

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float64]

_BATCH = 32
_GAZE = "judge.gaze"
_PARTS = {"coefficients": ("",), "eyelids": ("eyeBlink",), "mouth": ("jaw", "mouth")}
"""Name of a measure -> how the names of its driven coefficients begin."""


def compare_autoencoders(
    settings: ControlSettings,
    models: Mapping[str, tuple[ControlSettings, ControlTools]],
    folder: Path,
    bar: Bar = silent,
) -> tuple[dict[str, Any], dict[str, Cases]]:
    """Encode and decode renders of held-out people with each model's autoencoder.

    Args:
        settings: people, pictures a person (``targets``), resamples.
        models: name -> its own settings and tools; the first is the one the others are compared with.
        folder: not used: nothing here takes long enough to be kept.
        bar: makes progress bars.

    Returns:
        The report, with the keys of `mien.evaluation.compare.compare`, and the pictures to show. Of what the judge
        reads, the ceiling is the same judge on the renders themselves, the floor its readings of the decoded pictures
        held against another person's picture.
    """
    first = next(iter(models.values()))[1]
    subjects = varied_subjects(settings.first_person, settings.people, settings.targets)
    with bar(len(subjects), "renders") as step:
        drawn = []
        for one in subjects:
            drawn.append(first.render(one))
            step(1)
    originals = [np.asarray(one.image) for one in drawn]
    points = np.stack([np.asarray(one.landmarks, np.float32) for one in drawn])
    people = np.repeat(np.arange(settings.people), settings.targets)
    weights = resamples([people], settings.draws, np.random.default_rng(0x766165))
    before = judge_errors(_judged(first, originals, points), subjects)
    scores: dict[str, dict[str, Comparable]] = {}
    cases: dict[str, Cases] = {}
    told: dict[str, dict[str, Any]] = {}
    for name, (_, tools) in models.items():
        with bar(len(originals), "decoding") as step:
            decoded = reconstructed(tools.pipeline.vae, originals, step)
        errors = pixel_errors(originals, decoded, points)
        scores[name] = _psnr(errors, weights) | _ssim(originals, decoded, weights)
        seen = _judged(first, decoded, points)
        # other people's, since one person's pictures have no more in common than any two
        others = [*subjects[settings.targets :], *subjects[: settings.targets]]
        after, floor = judge_errors(seen, subjects), judge_errors(seen, others)
        for part, rows in after.items():
            scores[name][part] = _read(rows, before[part], floor[part], weights, squared=part == _GAZE)
        cases[name] = _cases(originals, decoded, errors[""])
        told[name] = {"made_with": {file: one for file, one in tools.models.items() if file.startswith("vae/")}}
    return assembled(_title(settings), settings, len(subjects), first, told, scores), cases


def reconstructed(vae: Any, pictures: Sequence[Pixels], step: Callable[[int], Any] = lambda _: None) -> list[Pixels]:
    """Pictures uint8 [S, S, 3], encoded and decoded."""
    import torch

    from mien.pipelines.autoencoders import decode_latents, encode_pictures
    from mien.pixels import pictures_to_tensor, tensor_to_pictures

    found: list[Pixels] = []
    for start in range(0, len(pictures), _BATCH):
        part = pictures_to_tensor(pictures[start : start + _BATCH])
        with torch.no_grad():
            found += list(tensor_to_pictures(decode_latents(vae, encode_pictures(vae, part.to(vae.dtype)))))
        step(len(part))
    return found


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
    from mien.optional import require
    from mien.pixels import pictures_to_tensor

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


def _judged(tools: ControlTools, pictures: Sequence[Pixels], points: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The face judge's ``coefficients`` [N, 53] and ``gaze`` [N, 2]; crops are placed by the exact landmarks."""
    read = [
        judge(tools, pictures[start : start + _BATCH], points[start : start + _BATCH])
        for start in range(0, len(pictures), _BATCH)
    ]
    return {name: np.concatenate([part[name] for part in read]) for name in ("coefficients", "gaze")}


def judge_errors(seen: Mapping[str, NDArray[Any]], of: Sequence[Subject]) -> dict[str, Rows]:
    """How far readings are from what was driven in N planned pictures.

    Args:
        seen: ``coefficients`` [N, 53] and ``gaze`` [N, 2] in degrees.
        of: the planned pictures.

    Returns:
        ``judge.gaze``: mean square [N] of two angles in degrees; ``judge.coefficients``, ``judge.eyelids`` and
        ``judge.mouth``: mean absolute differences [N].
    """
    states = [one.picture.expression for one in of]
    away = np.abs(seen["coefficients"] - np.array([state.coefficients for state in states], np.float64))
    gaze = pose_error(np.array([state.gaze for state in states], np.float64), seen["gaze"])
    found = {_GAZE: np.square(gaze).mean(-1)}
    for name, starts in _PARTS.items():
        chosen = [index for index, word in enumerate(KIT_NAMES) if word.startswith(starts)]
        found[f"judge.{name}"] = away[:, chosen].mean(-1)
    return found


def _read(after: Rows, before: Rows, floor: Rows, weights: Rows, squared: bool) -> Score:
    """An error of the judge on decoded pictures, with that on the renders as ceiling."""

    def level(rows: Rows) -> Rows:
        means = weighted_means(rows, weights)
        return np.sqrt(means) if squared else means

    low, high = (finite(float(level(rows)[0])) for rows in (floor, before))
    return Score(lambda counted: level(np.where(counted, after, np.nan)), np.isfinite(after), low, high, "lower")


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
        "studio people, encoded and decoded. PSNR in dB of the mean square error over all pictures; gaze in degrees "
        "(root mean square). Ceiling: the judge on the renders themselves. In parentheses: 95 % interval, bootstrap "
        "over people."
    )
