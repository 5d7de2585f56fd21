"""Does it work for everybody? The gap between the best and the worst group, each held against its own oracle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike


def by_group(model: ArrayLike, oracle: ArrayLike, groups: ArrayLike, minimum: int = 20) -> dict[str, float]:
    """Mean excess of the model over its own oracle in each group.

    The exact renders of a group show what its readers can see there: a reader that is worse on dark skin must not be
    counted against the model.

    Args:
        model: distances [N] of outputs, NaN where no face was found; lower is better.
        oracle: distances [N] of the exact renders.
        groups: labels [N].
        minimum: groups of fewer rows are left out.

    Returns:
        label -> mean(model) - mean(oracle).
    """
    a, b, labels = np.asarray(model, np.float64), np.asarray(oracle, np.float64), np.asarray(groups)
    there = np.isfinite(a) & np.isfinite(b)
    found = {}
    for label in np.unique(labels):
        rows = there & (labels == label)
        if rows.sum() >= minimum:
            found[str(label)] = float(a[rows].mean() - b[rows].mean())
    return found


def worst_group_gap(excess: Mapping[str, float]) -> float:
    """Excess of the worst group over the best; 0 is even; NaN for fewer than two groups."""
    return max(excess.values()) - min(excess.values()) if len(excess) > 1 else float("nan")
