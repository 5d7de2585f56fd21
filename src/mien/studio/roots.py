"""Where hairs are rooted: points on the skin as (triangle corners, barycentric weights)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.optional import require
from mien.faces.linear.vectors import unit
from mien.studio.kit import FaceKit, Floats, Ints
from mien.studio.person import Brows


@dataclass(frozen=True, eq=False)
class Roots:
    """Points on the mesh: ``corners`` [N, 3] vertices and their ``weights`` [N, 3]."""

    corners: Ints
    weights: Floats

    def on(self, values: NDArray[Any]) -> NDArray[Any]:
        """Interpolate per-vertex ``values`` [V, C] at the points: [N, C]."""
        picked = values[self.corners]
        return np.einsum("nkc,nk->nc", picked, self.weights)

    def normals(self, normals: Floats) -> NDArray[Any]:
        """Unit normals [N, 3] at the points."""
        return unit(self.on(normals))


def scatter(kit: FaceKit, rng: np.random.Generator, density: NDArray[Any], count: int) -> Roots:
    """Draw ``count`` points on face and head with the given per-vertex density [V] (stratified along the mesh)."""
    triangles, areas = _skin(kit)
    cumulative = np.cumsum(np.maximum(areas * density[triangles].mean(1), 0.0))
    position = (np.arange(count) + rng.random(count)) / count * cumulative[-1]
    chosen = np.clip(np.searchsorted(cumulative, position), 0, len(triangles) - 1)
    uv = rng.random((count, 2))
    flip = uv.sum(1) > 1
    uv[flip] = 1 - uv[flip]
    weights = np.stack([1 - uv.sum(1), uv[:, 0], uv[:, 1]], 1).astype(np.float32)
    return Roots(triangles[chosen], weights)


@lru_cache(maxsize=2)
def _skin(kit: FaceKit) -> tuple[Ints, Floats]:
    first, last = kit.groups["face"][0], kit.groups["head"][1]
    triangles = kit.mesh_triangles[first:last]
    a, b, c = (kit.neutral[triangles[:, k]] for k in range(3))
    return triangles, np.linalg.norm(np.cross(b - a, c - a), axis=1)


@lru_cache(maxsize=2)
def _texture_index(kit: FaceKit) -> tuple[Ints, Floats, Any]:
    spatial = require("scipy.spatial", extra="studio")
    span = slice(*kit.groups["face"])
    uv = kit.uv[kit.triangles[span]]
    return kit.mesh_triangles[span], uv, spatial.cKDTree(uv.mean(1))


def locate(kit: FaceKit, uv: NDArray[Any]) -> Roots:
    """The face points with the given texture coordinates [N, 2] (nearest triangle if none contains one)."""
    triangles, corners, tree = _texture_index(kit)
    _, candidates = tree.query(uv, k=8)
    a, b, c = (corners[candidates][:, :, k] for k in range(3))
    ab, ac, ap = b - a, c - a, uv[:, None] - a
    area = ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0]
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    second = (ap[..., 0] * ac[..., 1] - ac[..., 0] * ap[..., 1]) / area
    third = (ab[..., 0] * ap[..., 1] - ap[..., 0] * ab[..., 1]) / area
    weights = np.stack([1 - second - third, second, third], -1)
    best = weights.min(-1).argmax(1)
    rows = np.arange(len(uv))
    chosen = np.clip(weights[rows, best], 0, 1)
    chosen /= chosen.sum(1, keepdims=True)
    return Roots(triangles[candidates[rows, best]], chosen.astype(np.float32))


def brow_points(
    kit: FaceKit, rng: np.random.Generator, brows: Brows, count: int
) -> list[tuple[NDArray[Any], NDArray[Any], NDArray[Any], float]]:
    """Texture coordinates of eyebrow hairs, right brow then left.

    Returns:
        For each side: uv [count, 2], position along the brow [count] (0 inner .. 1 outer), across it [count]
        (-1..1), and the direction of "outwards" in u (-1 or 1).
    """
    marks = kit.vertex_uv[kit.landmarks68]
    sides = []
    for outer_to_inner, outwards in ((marks[17:22], -1.0), (marks[26:21:-1], 1.0)):
        path = outer_to_inner[::-1]
        along = rng.random(count) * brows.extent
        knots = np.linspace(0, 1, 5)
        u, v = np.interp(along, knots, path[:, 0]), np.interp(along, knots, path[:, 1])
        beyond = np.maximum(along - 1.0, 0.0) * 4
        u += (path[4, 0] - path[3, 0]) * beyond
        v += (path[4, 1] - path[3, 1]) * beyond
        half = brows.thickness * np.interp(along, [0, 0.12, 0.6, 1, 1.2], [0.75, 1, 0.85, 0.35, 0.15])
        v += np.interp(along, [0, 0.3, 1], [-0.022, -0.015, -0.004]) + brows.rise
        v += 0.012 * brows.arch * np.sin(np.clip(along, 0, 1) * np.pi * 0.85) - 0.02 * brows.tilt * (along - 0.5)
        across = rng.uniform(-1, 1, count)
        sides.append((np.stack([u, v + across * half], 1), along, across, outwards))
    return sides
