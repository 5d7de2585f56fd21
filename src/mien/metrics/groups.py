"""Groups compared with each other, each relative to its own oracle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray


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

    Example:
        >>> from mien.metrics.groups import by_group
        >>> by_group([3.0, 4.0, 9.0], [1.0, 2.0, 6.0], ["light", "light", "dark"], minimum=1)
        {'dark': 3.0, 'light': 2.0}
    """
    a, b, labels = np.asarray(model, np.float64), np.asarray(oracle, np.float64), np.asarray(groups)
    there = np.isfinite(a) & np.isfinite(b)
    found: dict[str, float] = {}
    for label in np.unique(labels):
        rows = there & (labels == label)
        if rows.sum() >= minimum:
            found[str(label)] = float(a[rows].mean() - b[rows].mean())
    return found


def worst_group_gap(excess: Mapping[str, float]) -> float:
    """Excess of the worst group over the best; 0 is even; NaN for fewer than two groups.

    Example:
        >>> from mien.metrics.groups import worst_group_gap
        >>> worst_group_gap({"dark": 3.0, "light": 2.0})
        1.0
    """
    return max(excess.values()) - min(excess.values()) if len(excess) > 1 else float("nan")


def behind_mean(relative: ArrayLike) -> NDArray[np.float64]:
    """How far each group is behind the mean of the groups, as a share of it (*ours*): 0 is even, 0.1 is 10 % behind.

    Args:
        relative: [groups, ...] a quality of each group in units of its own oracle; higher is better.

    Returns:
        1 - relative / mean over the groups, [groups, ...]; negative for a group ahead, NaN where the mean is not
        positive or a group has no value, since a share of nothing says nothing.

    Example:
        >>> from mien.metrics.groups import behind_mean
        >>> behind_mean([0.5, 1.5]).tolist()
        [0.5, -0.5]
    """
    values = np.asarray(relative, np.float64)
    mean = values.mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(mean > 0, 1 - values / mean, np.nan)
