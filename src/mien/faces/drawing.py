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

    Example:
        >>> import mien
        >>> from mien.faces import draw_landmarks
        >>> draw_landmarks(mien.read("me.jpg", reader="studio").landmarks, size=256, out=128).shape
        (128, 128, 3)
    """
    points = np.asarray(landmarks, np.float32)
    if points.ndim != 2 or points.shape[0] != 478 or points.shape[1] < 2:
        raise ValueError(f"expected landmarks [478, 2 or 3], got {list(points.shape)}")
    if not np.isfinite(points[:, :2]).all():
        raise ValueError("landmarks contain values that are not finite numbers")
    width, height = size if isinstance(size, tuple) else (size, size)
    side = out if out is not None else width
    points = points[:, :2] * np.array([side / width, side / height], np.float32)

    parts = [_disc(points[centre], points[list(rim)], side) for centre, rim in IRISES.values()]
    parts.append(_lines(points, side, 0.5 * max(side * LINE_WIDTH, 1.0)))
    # pixels are numbered through all groups, irises first; only those that are covered are ever looked at
    group = np.repeat([0, 1, 2], [len(places) for places, _ in parts])
    places = np.concatenate([places for places, _ in parts]) + group * side * side
    coverage = np.zeros((len(IRISES) + len(POLYLINES)) * side * side, np.float32)
    np.maximum.at(coverage, places, np.concatenate([alpha for _, alpha in parts]))
    places = np.sort(places)  # np.unique takes ten times as long
    places = places[np.concatenate([[True], places[1:] != places[:-1]])[: len(places)]]
    ends = np.searchsorted(places, side * side * np.arange(len(IRISES) + len(POLYLINES) + 1))

    # groups that overlap are laid over one another in order, as in paint: the lids over the irises
    paint = np.zeros((side * side, 3), np.float32)
    picture = np.zeros((side, side, 3), np.uint8)
    for number, (name, (first, last)) in enumerate(zip([*IRISES, *POLYLINES], pairwise(ends), strict=True)):
        here, alpha = places[first:last] - number * side * side, coverage[places[first:last], None]
        paint[here] += alpha * (np.array(COLOURS[name], np.float32) - paint[here])
        picture.reshape(-1, 3)[here] = (paint[here] + 0.5).astype(np.uint8)
    return picture


def _lines(points: NDArray[np.float32], side: int, half_width: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Where segments cover pixels: pixels [K], numbered on from group to group, and the share of each [K].

    Along its longer axis a segment is gone through pixel by pixel; across it, only pixels within reach are looked at.
    """
    start, end, group = _segments()
    origin, step = points[start], points[end] - points[start]
    length, reach = np.hypot(step[:, 0], step[:, 1]), half_width + 0.5
    rows, major = np.arange(len(start)), (np.abs(step[:, 1]) > np.abs(step[:, 0])).astype(np.intp)
    begin, rise = origin[rows, major].astype(np.float64), step[rows, 1 - major].astype(np.float64)
    run = step[rows, major].astype(np.float64)
    low, high = np.minimum(begin, begin + run), np.maximum(begin, begin + run)
    first = np.ceil(low - reach - 0.5).clip(0, side).astype(np.intp)
    count = np.floor(high + reach - 0.5).clip(-1, side - 1).astype(np.intp) + 1 - first
    count = count.clip(0)
    owner = np.repeat(rows, count)
    along = np.arange(len(owner)) + np.repeat(first - np.cumsum(count) + count, count)
    share = ((along + 0.5).clip(low[owner], high[owner]) - begin[owner]) / np.where(run == 0, 1, run)[owner]
    middle = origin[owner, 1 - major[owner]] + share * rise[owner]
    away = reach * np.sqrt(2) + 0.01  # of a line at 45 degrees
    across = np.ceil(middle - away - 0.5).clip(-side, 2 * side).astype(np.intp)[:, None] + np.arange(int(2 * away) + 1)
    inside = (across >= 0) & (across < side)
    kept = np.broadcast_to(np.arange(len(owner))[:, None], inside.shape)[inside]
    across, along, owner = across[inside], along[kept], owner[kept]
    steep = major[owner] == 1
    x, y = np.where(steep, across, along), np.where(steep, along, across)

    dx, dy = x + 0.5 - origin[owner, 0], y + 0.5 - origin[owner, 1]
    ux, uy = step[owner, 0], step[owner, 1]
    share = ((dx * ux + dy * uy) / np.maximum(length[owner] ** 2, 1e-12)).clip(0.0, 1.0)
    distance = np.sqrt((dx - share * ux) ** 2 + (dy - share * uy) ** 2)
    alpha = (reach - distance).clip(0.0, 1.0).astype(np.float32)
    covered = alpha > 0
    return ((group[owner] * side + y) * side + x)[covered], alpha[covered]


def _disc(
    centre: NDArray[np.float32], rim: NDArray[np.float32], side: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Where the disc around ``centre`` covers pixels [K], and their shares [K]; the rim gives its radius."""
    radius = max(float(np.hypot(*(rim - centre).T).mean()), 0.75)
    low = np.clip(np.floor(centre - radius - 1), 0, side).astype(np.intp)
    high = np.clip(np.ceil(centre + radius + 1), 0, side).astype(np.intp)
    x, y = np.arange(low[0], high[0]), np.arange(low[1], high[1])
    distance = np.hypot((x + 0.5 - centre[0])[None, :], (y + 0.5 - centre[1])[:, None])
    alpha = np.clip(radius + 0.5 - distance, 0.0, 1.0).astype(np.float32)
    covered = alpha > 0
    return (y[:, None] * side + x[None, :])[covered], alpha[covered]
