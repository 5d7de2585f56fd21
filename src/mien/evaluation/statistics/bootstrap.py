"""Intervals for numbers whose rows share people and targets: the two-way cluster bootstrap.

Rows of a benchmark of people x targets are not independent. Each draw resamples people and targets, both with
replacement, and a row counts as often as the product of how often its person and its target were drawn (the pigeonhole
bootstrap of Owen, 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.float64]
"""[1 + draws, N]: how often each row counts; the data themselves (all ones) first, then the resamples."""

_DIGITS = 5


def cluster_weights(labels: Sequence[ArrayLike], draws: int, rng: np.random.Generator) -> Floats:
    """How often each of N rows counts in each draw, [draws, N].

    Args:
        labels: one array [N] for each way in which rows belong together, such as (people, targets).
        draws: number of resamples.
        rng: source of randomness.
    """
    weights = np.ones((draws, len(np.asarray(labels[0]))))
    for one in labels:
        _, index = np.unique(np.asarray(one), return_inverse=True)
        count = int(index.max()) + 1
        weights *= rng.multinomial(count, np.full(count, 1 / count), size=draws)[:, index]
    return weights


def resamples(labels: Sequence[ArrayLike], draws: int, rng: np.random.Generator) -> Floats:
    """The data themselves and their resamples, [1 + draws, N]: a row of ones, then `cluster_weights`."""
    drawn = cluster_weights(labels, draws, rng)
    return np.concatenate([np.ones((1, drawn.shape[1])), drawn])


def weighted_means(values: ArrayLike, weights: Floats) -> Floats:
    """Means of the rows [N] that are not NaN under weights [draws, N] -> [draws]; NaN where none is left."""
    rows = np.asarray(values, np.float64)
    there = np.isfinite(rows)
    total = weights @ there.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ np.where(there, rows, 0.0)) / total


def interval(samples: ArrayLike, level: float = 0.95) -> tuple[float, float] | None:
    """The percentile interval of a statistic's draws; None if no draw is finite."""
    values = np.asarray(samples, np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def estimate(samples: NDArray[np.float64]) -> dict[str, Any]:
    """{value, low, high} of a statistic [1 + draws]; None where it is not finite."""
    bounds = interval(samples[1:])
    return {
        "value": _rounded(samples[0]),
        "low": None if bounds is None else _rounded(bounds[0]),
        "high": None if bounds is None else _rounded(bounds[1]),
    }


def _rounded(value: float) -> float | None:
    return round(float(value), _DIGITS) if np.isfinite(value) else None
