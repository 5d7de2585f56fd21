"""How near a picture comes back from an autoencoder, in all and inside regions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.faces.connections import POLYLINES


def _points(name: str) -> tuple[int, ...]:
    return tuple(sorted({point for line in POLYLINES[name] for point in line}))


REGIONS = {"eyes": (_points("left_eye"), _points("right_eye")), "mouth": (_points("lips"),)}
"""Region -> the landmarks of each of its boxes."""

MARGIN = 0.15
"""By how much of its width a box reaches over its landmarks on every side: lids and lips belong to it (*inferred*)."""


def region_mask(landmarks: ArrayLike, region: str, size: int) -> NDArray[np.bool_]:
    """Pixels [size, size] of a region of `REGIONS`.

    Args:
        landmarks: [478, 2 or 3] continuous pixel coordinates.
        region: ``eyes`` or ``mouth``.
        size: side of the picture in pixels.

    Example:
        >>> import mien
        >>> from mien.metrics.reconstruction import region_mask
        >>> landmarks = mien.read("me.jpg", reader="studio").landmarks
        >>> bool(0 < region_mask(landmarks, "eyes", 256).mean() < 0.2)
        True
    """
    points = np.asarray(landmarks, np.float64)[:, :2]
    middle = np.arange(size) + 0.5
    mask = np.zeros((size, size), bool)
    for box in REGIONS[region]:
        low, high = points[list(box)].min(0), points[list(box)].max(0)
        over = MARGIN * (high[0] - low[0])
        across, down = ((low[axis] - over <= middle) & (middle <= high[axis] + over) for axis in (0, 1))
        mask |= down[:, None] & across
    return mask


def squared_error(first: ArrayLike, second: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean square difference of two pictures uint8 [H, W, 3] on the scale 0..1, over a mask [H, W] where given.

    NaN for an empty mask.

    Example:
        >>> import numpy as np
        >>> from mien.metrics.reconstruction import squared_error
        >>> squared_error(np.zeros((8, 8, 3)), np.full((8, 8, 3), 255))
        1.0
    """
    difference = (np.asarray(first, np.float64) - np.asarray(second, np.float64)) / 255.0
    chosen = difference if mask is None else difference[np.asarray(mask, bool)]
    return float(np.square(chosen).mean()) if chosen.size else float("nan")


def decibels(error: ArrayLike) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB of mean square errors on the scale 0..1; infinite for 0; higher is better.

    Example:
        >>> from mien.metrics.reconstruction import decibels
        >>> float(decibels(0.001))
        30.0
    """
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(np.asarray(error, np.float64))
