"""Small vector helpers shared by the studio's geometry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def smoothstep(low: float, high: float, x: Any) -> Any:
    """Hermite step from 0 at ``low`` to 1 at ``high`` (which may be the smaller), as in GLSL."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def unit(vectors: Array) -> Array:
    """Vectors [..., 3] scaled to length 1 (zero stays near zero)."""
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Rotation matrix [3, 3] of a pose in degrees.

    yaw + turns to the subject's left (+x), pitch + looks up (+y), roll + tilts to the subject's left shoulder.
    """
    y, p, r = math.radians(yaw), -math.radians(pitch), -math.radians(roll)
    about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    about_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def distance_to_path(points: Array, path: Array) -> NDArray[np.float32]:
    """Distance [N] from ``points`` [N, 2] to a polyline [M, 2]."""
    start, step = path[:-1], np.diff(path, axis=0)
    offset = points[:, None] - start[None]
    along = np.clip((offset * step).sum(-1) / ((step * step).sum(-1) + 1e-12), 0.0, 1.0)
    return np.linalg.norm(offset - along[..., None] * step, axis=-1).min(1).astype(np.float32)


def signed_distance(points: Array, polygon: Array) -> NDArray[np.float32]:
    """Distance [N] to the outline of a closed polygon [M, 2], positive inside."""
    closed = np.vstack([polygon, polygon[:1]])
    x, y = points[:, 0, None], points[:, 1, None]
    x0, y0, x1, y1 = closed[:-1, 0], closed[:-1, 1], closed[1:, 0], closed[1:, 1]
    crosses = (y0 > y) != (y1 > y)
    at = x0 + (y - y0) / np.where(y1 == y0, 1e-12, y1 - y0) * (x1 - x0)
    inside = (crosses & (x < at)).sum(1) % 2 == 1
    return np.where(inside, 1.0, -1.0).astype(np.float32) * distance_to_path(points, closed)


def smooth_closed(points: Array, samples: int) -> NDArray[np.float64]:
    """A closed Catmull-Rom curve through ``points`` [N, 2], ``samples`` a piece: [N * samples, 2]."""
    before, after, further = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    t = (np.arange(samples) / samples)[None, :, None]
    a, b, c, d = before[:, None], points[:, None], after[:, None], further[:, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve.reshape(-1, 2)
