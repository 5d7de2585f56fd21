"""How far the head is turned from where it should be."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pose_error(reference: ArrayLike, generated: ArrayLike) -> NDArray[np.float64]:
    """Signed differences of angles in degrees [..., 3] (yaw, pitch, roll), wrapped into [-180, 180).

    Example:
        >>> from mien.metrics.pose import pose_error
        >>> pose_error([170.0, 0.0, 0.0], [-170.0, 0.0, 5.0]).tolist()
        [20.0, 0.0, 5.0]
    """
    difference = np.asarray(generated, np.float64) - np.asarray(reference, np.float64)
    return (difference + 180.0) % 360.0 - 180.0


def pose_rmse(reference: ArrayLike, generated: ArrayLike) -> NDArray[np.float64]:
    """Root mean square error in degrees of [N, 3] poses -> [3] (yaw, pitch, roll); lower is better.

    Example:
        >>> from mien.metrics.pose import pose_rmse
        >>> pose_rmse([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[3.0, 0.0, 2.0], [3.0, 0.0, -2.0]]).tolist()
        [3.0, 0.0, 2.0]
    """
    return np.sqrt(np.square(pose_error(reference, generated)).mean(axis=0))
