"""Landmark pictures: 478 points drawn as coloured, antialiased lines on black (FaceCrafter's landmark condition)."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.faces.connections import COLOURS, IRISES, POLYLINES

LINE_WIDTH = 1.0 / 128.0
"""Width of a line as a share of the picture's side (*inferred*: the paper gives none)."""


@cache
def _segments() -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Start and end landmark and group number of every segment."""
    rows = [
        (start, end, group)
        for group, lines in enumerate(POLYLINES.values())
        for line in lines
        for start, end in pairwise(line)
    ]
    start, end, group = np.array(rows, np.intp).T
    return start, end, group


def draw_landmarks(
    landmarks: ArrayLike, size: int | tuple[int, int] = 128, out: int | None = None
) -> NDArray[np.uint8]:
    """Draw a landmark picture.

    Convention:
        Landmarks are continuous pixel coordinates, x right, y down: the centre of the top left pixel is (0.5, 0.5).
        What lies outside the picture is cut off. Irises are filled discs, so that the gaze can be seen.

    Args:
        landmarks: [478, 2 or 3] pixels; z is not used.
        size: side of the picture the landmarks belong to, or its (width, height).
        out: side of the drawing; ``size`` (its width) if not given.

    Returns:
        uint8 [out, out, 3] RGB.

    Raises:
        ValueError: if the shape is not [478, >= 2] or a coordinate is not finite.
    """
    points = np.asarray(landmarks, np.float32)
    if points.ndim != 2 or points.shape[0] != 478 or points.shape[1] < 2:
        raise ValueError(f"expected landmarks [478, 2 or 3], got {list(points.shape)}")
    if not np.isfinite(points[:, :2]).all():
        raise ValueError("landmarks contain values that are not finite numbers")
    width, height = size if isinstance(size, tuple) else (size, size)
    side = out if out is not None else width
    points = points[:, :2] * np.array([side / width, side / height], np.float32)

    names = [*IRISES, *POLYLINES]
    coverage = np.zeros((len(names), side, side), np.float32)
    for alpha, (centre, rim) in zip(coverage, IRISES.values(), strict=False):
        _cover_disc(alpha, points[centre], points[list(rim)])
    _cover_lines(coverage[len(IRISES) :], points, 0.5 * max(side * LINE_WIDTH, 1.0))

    # groups that overlap are laid over one another in order, as in paint: the lids over the irises
    picture = np.zeros((side, side, 3), np.float32)
    for name, alpha in zip(names, coverage, strict=True):
        rows, columns = np.nonzero(alpha)
        if rows.size:
            part = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            picture[part] += alpha[part][..., None] * (np.array(COLOURS[name], np.float32) - picture[part])
    return (picture + 0.5).astype(np.uint8)


def _cover_lines(coverage: NDArray[np.float32], points: NDArray[np.float32], half_width: float) -> None:
    """Raise ``coverage`` [G, S, S] to each pixel's share covered by the nearest segment of its group."""
    side = coverage.shape[-1]
    start, end, group = _segments()
    origin, step = points[start], points[end] - points[start]
    length = np.hypot(step[:, 0], step[:, 1])
    # stamps at most a pixel apart along each segment; a stamp looks at the pixels within reach of the line
    stamps = np.minimum(np.ceil(length), 4 * side).astype(np.intp) + 1
    owner = np.repeat(np.arange(len(start)), stamps)
    position = np.arange(len(owner)) - np.repeat(np.cumsum(stamps) - stamps, stamps)
    along = position / np.maximum(stamps[owner] - 1, 1)
    corner = np.floor(origin[owner] + along[:, None].astype(np.float32) * step[owner]).astype(np.intp)
    reach = int(np.ceil(half_width + 0.5))
    offsets = np.arange(-reach, reach + 1)
    x = corner[:, 0, None, None] + offsets[None, None, :]
    y = corner[:, 1, None, None] + offsets[None, :, None]
    dx = x + 0.5 - origin[owner, 0, None, None]
    dy = y + 0.5 - origin[owner, 1, None, None]
    ux, uy = step[owner, 0, None, None], step[owner, 1, None, None]
    share = np.clip((dx * ux + dy * uy) / np.maximum(length[owner, None, None] ** 2, 1e-12), 0.0, 1.0)
    distance = np.hypot(dx - share * ux, dy - share * uy)
    alpha = np.clip(half_width + 0.5 - distance, 0.0, 1.0).astype(np.float32)
    inside = (alpha > 0) & (x >= 0) & (x < side) & (y >= 0) & (y < side)
    index = (group[owner, None, None] * side + y) * side + x
    np.maximum.at(coverage.reshape(-1), index[inside], alpha[inside])


def _cover_disc(coverage: NDArray[np.float32], centre: NDArray[np.float32], rim: NDArray[np.float32]) -> None:
    """Set ``coverage`` [S, S] to the disc around ``centre`` whose radius is the mean distance of the rim points."""
    side = coverage.shape[-1]
    radius = max(float(np.hypot(*(rim - centre).T).mean()), 0.75)
    low = np.clip(np.floor(centre - radius - 1), 0, side).astype(np.intp)
    high = np.clip(np.ceil(centre + radius + 1), 0, side).astype(np.intp)
    x = np.arange(low[0], high[0]) + 0.5 - centre[0]
    y = np.arange(low[1], high[1]) + 0.5 - centre[1]
    distance = np.hypot(x[None, :], y[:, None])
    coverage[low[1] : high[1], low[0] : high[0]] = np.clip(radius + 0.5 - distance, 0.0, 1.0)
