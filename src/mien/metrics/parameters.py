"""FaceCrafter's Exp-RMSE and Pose-RMSE (Table 1): distances of a face model's parameters."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


def parameter_distance(
    reference: ArrayLike, generated: ArrayLike, kind: Literal["l2", "rmse"] = "l2"
) -> NDArray[np.float64]:
    """Distance of parameter vectors [..., K] -> [...], such as 50 FLAME expression coefficients; lower is better.

    FaceCrafter's Table 1 calls it an RMSE and prints values near 7: for 50 coefficients of order 1 that fits the norm
    of the difference, not a root mean over the coefficients, which is the norm divided by sqrt(K). Both are offered;
    a table must say which (*inferred*).

    Args:
        reference: in the units of the face model (angles of FLAME's pose in radians, axis-angle).
        generated: the same.
        kind: "l2", the norm, or "rmse", the root of the mean square over the K parameters.

    Raises:
        ValueError: if the numbers of parameters differ.

    Example:
        >>> from mien.metrics.parameters import parameter_distance
        >>> float(parameter_distance([0.0, 0.0], [3.0, 4.0])), float(parameter_distance([0.0] * 4, [2.0] * 4, "rmse"))
        (5.0, 2.0)
    """
    a, b = (np.asarray(x, np.float64) for x in (reference, generated))
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"{a.shape[-1]} parameters cannot be compared with {b.shape[-1]}: one face model for both")
    squared = np.square(a - b)
    return np.sqrt(squared.sum(-1) if kind == "l2" else squared.mean(-1))
