"""How far the skin lies from the head's centre in each direction: keeps hair outside the head."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.optional import require
from mien.faces.linear.vectors import Array
from mien.studio.kit import FaceKit, Floats, Ints

CENTER = np.array([0.0, 5.0, 1.5], np.float32)
"""Centre of the skull, in units."""

_ROWS, _COLUMNS = 36, 72


@lru_cache(maxsize=2)
def _neighbours(kit: FaceKit) -> tuple[Ints, Floats]:
    """For each direction of the grid: the six nearest skin vertices and their weights."""
    spatial = require("scipy.spatial", extra="studio")
    x, y, z = kit.neutral.T
    ear = (np.abs(x) > 7.3) & (y < 5.4) & (y > -3) & (z > -3) & (z < 5)
    vertices = np.nonzero(kit.vertices_in("face", "head") & (y > -9) & ~ear)[0]
    directions = kit.neutral[vertices] - CENTER
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    polar, around = np.meshgrid(
        (np.arange(_ROWS) + 0.5) / _ROWS * np.pi, np.arange(_COLUMNS) / _COLUMNS * 2 * np.pi, indexing="ij"
    )
    grid = np.stack([np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)], -1)
    distance, nearest = spatial.cKDTree(directions).query(grid.reshape(-1, 3), k=6)
    weights = 1 / (distance + 0.01) ** 2
    return vertices[nearest].astype(np.int32), (weights / weights.sum(1, keepdims=True)).astype(np.float32)


class HeadField:
    """The head of one person as a radius over directions from ``CENTER``."""

    def __init__(self, kit: FaceKit, points: Floats) -> None:
        vertices, weights = _neighbours(kit)
        radius = np.linalg.norm(points - CENTER, axis=1)
        grid = (radius[vertices] * weights).sum(1).reshape(_ROWS, _COLUMNS)
        self._grid = np.hstack([grid, grid[:, :1]])

    def radius(self, directions: Array) -> NDArray[Any]:
        """Distance of the skin from the centre [N] along unit ``directions`` [N, 3] (bilinear)."""
        row = np.clip(np.arccos(np.clip(directions[:, 1], -1, 1)) / np.pi * _ROWS - 0.5, 0, _ROWS - 1.001)
        column = (np.arctan2(directions[:, 0], directions[:, 2]) % (2 * np.pi)) / (2 * np.pi) * _COLUMNS
        i, j = row.astype(int), np.minimum(column.astype(int), _COLUMNS - 1)
        a, b = row - i, column - j
        g = self._grid
        return (1 - a) * ((1 - b) * g[i, j] + b * g[i, j + 1]) + a * ((1 - b) * g[i + 1, j] + b * g[i + 1, j + 1])

    def push_out(self, points: Array, clearance: Array) -> Array:
        """Move points [N, 3] above the neck that lie closer to the skin than ``clearance`` [N] outwards."""
        offset = points - CENTER
        distance = np.linalg.norm(offset, axis=1)
        directions = offset / (distance[:, None] + 1e-6)
        wanted = self.radius(directions) + clearance
        inside = (distance < wanted) & (points[:, 1] > -7.5)
        moved = points.copy()
        moved[inside] = CENTER + directions[inside] * wanted[inside, None]
        return moved
