"""Gaze from landmarks: the place of each iris in its eye, in eye-relative units, not degrees (*ours*)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_EYES = ((468, 133, 33), (473, 362, 263))
"""Iris, inner and outer corner of each eye, by MediaPipe's numbers."""


def iris_offsets(landmarks: ArrayLike) -> NDArray[np.float64]:
    """How far each iris is from the middle between the corners of its eye, along and across them.

    Args:
        landmarks: [..., 478, 2 or 3] in pixels.

    Returns:
        [..., 4], in widths of the eye: 0 is the middle; half a width is the corner.

    Example:
        >>> import mien
        >>> from mien.metrics.gaze import iris_offsets
        >>> iris_offsets(mien.read("me.jpg", reader="studio").landmarks).shape
        (4,)
    """
    points = np.asarray(landmarks, np.float64)[..., :2]
    found: list[NDArray[np.float64]] = []
    for iris, inner, outer in _EYES:
        width = points[..., outer, :] - points[..., inner, :]
        away = points[..., iris, :] - (points[..., outer, :] + points[..., inner, :]) / 2
        square = np.square(width).sum(-1)
        along, across = (away * width).sum(-1), away[..., 1] * width[..., 0] - away[..., 0] * width[..., 1]
        found += [along / square, across / square]
    return np.stack(found, -1)
