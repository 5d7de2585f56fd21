"""The pictures behind the numbers: which pairs a report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.control.run import Benchmark, ModelRun
from mien.evaluation.png import read_png
from mien.metrics.expression import exp_distance


@dataclass(frozen=True, eq=False)
class Case:
    """A row of pictures behind a number.

    Attributes:
        name: stem of its files.
        pictures: uint8 [S, S, 3] each; all are shown at the last one's size.
        caption: the sentence below them.
        drawn: how many of them, the last ones, a model drew; the others are renders, or a user's own.
    """

    name: str
    pictures: Sequence[NDArray[np.uint8]]
    caption: str
    drawn: int = 1


Cases = Mapping[str, Sequence[Case]]
"""Heading -> rows of pictures."""


def control_cases(done: ModelRun, stage: Benchmark, measure: str) -> Cases:
    """Person, target and output of the best, median and worst pairs by Exp.

    Args:
        done: what a model drew.
        stage: the benchmark it was run on.
        measure: blendshapes' name in the readings.
    """
    rows, reader = exp_rows(done, stage, measure), measure.partition(".")[0]
    return {
        f"{place} by Exp, as {reader} reads it: person, target, output": [
            Case(
                stage.pairs[index].name,
                [stage.people[stage.pairs[index].person].image, stage.wanted[stage.pairs[index].target].image,
                 read_png(done.files[index])],
                "no face" if np.isnan(rows[index]) else f"Exp {rows[index]:.3f}",
            )
            for index in indices
        ]
        for place, indices in chosen_rows(rows).items()
    }  # fmt: skip


def exp_rows(done: ModelRun, stage: Benchmark, measure: str) -> NDArray[np.float64]:
    """Exp of each pair [N]; NaN where a face is missing."""
    targets = stage.goals[measure][[pair.target for pair in stage.pairs]]
    return np.asarray(exp_distance(targets, done.outputs[measure]))


def chosen_rows(rows: NDArray[np.float64], each: int = 4) -> dict[str, list[int]]:
    """Indices of the best, median and worst cases (lowest is best); NaN is the worst of all."""
    order = np.argsort(np.where(np.isnan(rows), np.inf, rows), kind="stable")
    middle = max(0, len(order) // 2 - each // 2)
    return {
        "best": order[:each].tolist(),
        "median": order[middle : middle + each].tolist(),
        "worst": order[::-1][:each].tolist(),
    }
