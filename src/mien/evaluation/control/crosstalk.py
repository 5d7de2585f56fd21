"""The cross-talk matrix: the effect of each control on the other attributes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.progress import Bar, silent
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.dials import base_settings, dials
from mien.evaluation.control.pictures import OfPeople, draw_pairs
from mien.evaluation.control.scene import Pair, identity_subjects, target_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.steer import look_at
from mien.evaluation.png import read_png
from mien.evaluation.readings.arrays import Readings
from mien.evaluation.readings.read import read_images
from mien.evaluation.statistics.bootstrap import estimate, resamples, weighted_means
from mien.faces.surroundings import background_colours
from mien.generation.conditioning import PipelineInputs
from mien.metrics.identity import cosine
from mien.metrics.pose import pose_error

NOISE = "noise (nothing turned)"
Floats = NDArray[np.float64]


def cross_talk(settings: ControlSettings, tools: EvaluationContext, folder: Path, bar: Bar = silent) -> dict[str, Any]:
    """Draw a base picture of each person, then one for each dial turned with the same noise, and compare.

    Args:
        settings: ``cross_talk_people`` and how to draw.
        tools: see `EvaluationContext`.
        folder: pictures go into ``cross-talk-PEOPLE/DIAL/`` in it.
        bar: makes progress bars.

    Returns:
        ``spread``: the mean difference of each readout between renders of two random people in random pictures;
        ``dials``: dial -> readout -> {value, low, high, n}, the mean change in units of that spread. The row
        ``NOISE`` is what another noise alone changes.
    """
    count = settings.cross_talk_people
    sized = replace(settings, people=max(count, 2), targets=max(count, 2), pairs_per_person=None, target_choice="first")
    looks = [look_at(tools, tools.render(one)) for one in identity_subjects(sized)]
    donors = target_subjects(sized, 0)
    base = base_settings(tools, settings, looks, donors)
    turned: dict[str, list[PipelineInputs]] = {"base": base.steerings}
    turned |= {name: [dial(tools, base, row) for row in range(len(looks))] for name, dial in dials(base).items()}
    turned[NOISE] = base.steerings
    # the person before lends an identity, the donor expressions: its own picture stands for those that show them
    lent = [np.asarray(tools.render(one).image) for one in donors]
    pairs = [Pair(row, 0).showing(looks[row - 1].image, looks[row].image, lent[row]) for row in range(len(looks))]
    seen: dict[str, tuple[Readings, Floats]] = {}
    with bar(len(turned) * len(looks), "cross-talk") as advance:
        for name, rows in turned.items():
            one = replace(settings, seed=settings.seed + 1) if name == NOISE else settings
            where = folder / f"cross-talk-{count}" / name.replace(" ", "-").replace("'", "")
            files = draw_pairs(tools, one, pairs, OfPeople(rows), where)
            advance(len(files))
            pictures = [read_png(file) for file in files]
            seen[name] = (read_images(tools, pictures), background_colours(pictures))
    spread = _spread(sized, tools)
    weights = resamples([np.arange(len(looks))], settings.draws, np.random.default_rng(0x7475726E))
    matrix = {}
    for name, after in seen.items():
        if name != "base":
            changes = readouts(tools.first_reader, *seen["base"], *after)
            matrix[name] = {
                readout: estimate(weighted_means(values / spread[readout], weights))
                | {"n": int(np.isfinite(values).sum())}
                for readout, values in changes.items()
                if spread[readout] > 0
            }
    return {
        "people": len(looks),
        "spread": {name: round(value, 5) for name, value in spread.items()},
        "dials": matrix,
    }


def readouts(
    reader: str, before: Readings, colour_before: Floats, after: Readings, colour_after: Floats
) -> dict[str, Floats]:
    """How much each readout changed, [N]; NaN where a face is missing.

    ``yaw`` in degrees (face judge), ``exp`` as the mean change of the reader's blendshapes, ``coefficients`` as that of
    the judge's, ``identity`` as 1 - cosine (identity judge), ``valence`` (face judge), ``background`` as the mean
    change of the upper corners' colour, 0..255.
    """
    found = {
        "yaw": np.abs(pose_error(before["judge.pose"], after["judge.pose"])[:, 0]),
        "exp": _mean_change(before, after, f"{reader}.blendshapes"),
        "coefficients": _mean_change(before, after, "judge.coefficients"),
        "identity": 1.0 - cosine(before["identity"], after["identity"]),
        "valence": np.abs(after["judge.emotion"] - before["judge.emotion"])[:, 0].astype(np.float64),
        "background": np.abs(colour_after - colour_before).mean(-1),
    }
    return {name: np.asarray(values, np.float64) for name, values in found.items()}


def _spread(settings: ControlSettings, tools: EvaluationContext) -> dict[str, float]:
    """Mean difference of each readout between random pictures of different people."""
    subjects = target_subjects(settings)
    pictures = [np.asarray(tools.render(one).image) for one in subjects]
    order = np.roll(np.arange(len(pictures)), 1)
    seen, colours = read_images(tools, pictures), background_colours(pictures)
    other = Readings({name: values[order] for name, values in seen.values.items()})
    changes = readouts(tools.first_reader, seen, colours, other, colours[order])
    return {name: float(np.nanmean(values)) if np.isfinite(values).any() else 0.0 for name, values in changes.items()}


def _mean_change(before: Readings, after: Readings, part: str) -> Floats:
    return np.abs(np.asarray(after[part], np.float64) - before[part]).mean(-1)
