"""Fit the landmark map: where on the studio's head MediaPipe puts its 478 points (run once; the result ships).

`python -m mien.studio.observe_landmarks --facekit KIT` renders heads, lets MediaPipe read them, and solves for each
point the place on the mesh (triangle and barycentric weights) whose projections lie nearest to the readings.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mien.faces.linear.landmark_map import SURFACE_POINTS, LandmarkMap

Array = NDArray[np.floating]

_CANDIDATES = 10
_ROBUST_PX = 1.5
"""Residuals beyond this many px (of 128) lose weight: MediaPipe's misreadings."""


@dataclass(frozen=True, eq=False)
class Observations:
    """N renders, each with its geometry and MediaPipe's reading.

    Attributes:
        vertices: float32 [N, V, 3] posed mesh vertices in the world.
        matrices: [N, 4, 4] view-projection.
        eye_centres: [N, 2, 3], left then right. eye_rotations: [N, 2, 3, 3]. eye_scales: [N, 2].
        eyes_open: bool [N], whether the irises can be seen.
        readings: [N, 478, 3] px of pictures with side `size`.
        size: side of the pictures.
    """

    vertices: NDArray[np.float32]
    matrices: Array
    eye_centres: Array
    eye_rotations: Array
    eye_scales: Array
    eyes_open: NDArray[np.bool_]
    readings: Array
    size: int

    def first(self, count: int) -> Observations:
        """The first `count` of them."""
        arrays = {field.name: getattr(self, field.name)[:count] for field in fields(self) if field.name != "size"}
        return Observations(**arrays, size=self.size)

    def pixels(self) -> NDArray[np.float32]:
        """Projected vertices [N, V, 2] in px of a 128 px picture."""
        rows = []
        for points, matrix in zip(self.vertices, self.matrices, strict=True):
            clip = points @ matrix[[0, 1, 3], :3].T.astype(np.float32) + matrix[[0, 1, 3], 3].astype(np.float32)
            rows.append(np.stack([clip[:, 0] / clip[:, 2], -clip[:, 1] / clip[:, 2]], 1) * 64.0 + 64.0)
        return np.array(rows)

    def targets(self) -> Array:
        """Readings [N, 478, 3] in px of a 128 px picture."""
        return self.readings * (128.0 / self.size)


def _barycentric(corners: Array, target: Array) -> tuple[Array, float]:
    """Weights [3] in the simplex with least robust error of `sum_k w_k corners[:, k] - target`, and that error.

    corners [N, 3, 2], target [N, 2]. Reweighted least squares; where a weight comes out negative the point lies on an
    edge or a corner, which are tried in turn.
    """
    best, best_error = np.array([1.0, 0.0, 0.0]), np.inf
    importance, distance = np.ones(len(target)), np.zeros(len(target))
    for _ in range(3):
        best_error = np.inf
        for free in ((0, 1, 2), (0, 1), (1, 2), (0, 2), (0,), (1,), (2,)):
            weights = np.zeros(3)
            last = free[-1]
            if len(free) > 1:
                basis = (corners[:, free[:-1]] - corners[:, [last]]) * importance[:, None, None]
                rest = (target - corners[:, last]) * importance[:, None]
                a = np.moveaxis(basis, 1, 2).reshape(-1, len(free) - 1)
                weights[list(free[:-1])] = np.linalg.lstsq(a, rest.reshape(-1), rcond=None)[0]
            weights[last] = 1.0 - weights.sum()
            if weights.min() < -1e-9:
                continue
            distance = np.linalg.norm(np.einsum("k,nkc->nc", weights, corners) - target, axis=1)
            error = float(((importance * distance) ** 2).mean())
            if error < best_error:
                best, best_error = weights, error
            if len(free) == 3:
                break  # an interior optimum cannot be beaten on an edge
        distance = np.linalg.norm(np.einsum("k,nkc->nc", best, corners) - target, axis=1)
        importance = np.sqrt(np.minimum(1.0, _ROBUST_PX / np.maximum(distance, 1e-6)))
    return best, float(np.minimum(distance, 2 * _ROBUST_PX).mean())


def _surface_point(pixels: Array, target: Array, triangles: NDArray[np.int32]) -> tuple[NDArray[np.int32], Array]:
    """Triangle and weights of one point: search the vertices, then solve in the triangles around the best ones."""
    distance = np.minimum(np.linalg.norm(pixels - target[:, None], axis=2), 2 * _ROBUST_PX).mean(0)
    near = np.argsort(distance)[:_CANDIDATES]
    options = triangles[np.isin(triangles, near).any(1)]
    solved = [_barycentric(pixels[:, corners].astype(np.float64), target) for corners in options]
    winner = int(np.argmin([error for _, error in solved]))
    return options[winner], solved[winner][0]


def _iris(observations: Observations, point: int, side: int) -> Array:
    """Offset [3] of an iris point from the eyeball's centre: linear least squares on the projection equations."""
    keep = observations.eyes_open
    matrix, centre = observations.matrices[keep], observations.eye_centres[keep, side]
    turn = observations.eye_rotations[keep, side] * observations.eye_scales[keep, side, None, None]
    u = observations.readings[keep, point, 0] / observations.size * 2.0 - 1.0
    v = 1.0 - observations.readings[keep, point, 1] / observations.size * 2.0
    a, b = [], []
    for row, value in ((0, u), (1, v)):
        plane = matrix[:, row] - value[:, None] * matrix[:, 3]
        a.append(np.einsum("nc,nck->nk", plane[:, :3], turn))
        b.append(-(np.einsum("nc,nc->n", plane[:, :3], centre) + plane[:, 3]))
    left, right = np.concatenate(a), np.concatenate(b)
    weight = np.ones(len(right))
    offset = np.zeros(3)
    for _ in range(4):
        offset = np.linalg.lstsq(left * weight[:, None], right * weight, rcond=None)[0]
        residual = np.abs(left @ offset - right)
        weight = np.sqrt(np.minimum(1.0, np.median(residual) * 2 / np.maximum(residual, 1e-9)))
    return offset


def fit_map(observations: Observations, triangles: NDArray[np.int32]) -> LandmarkMap:
    """The landmark map that explains MediaPipe's readings best.

    Args:
        observations: a few hundred renders of different people, expressions and moderate poses.
        triangles: [T, 3] triangles of the face's skin that points may lie on (indices into `vertices`).
    """
    pixels, targets = observations.pixels(), observations.targets()
    used = np.unique(triangles)
    local = np.full(pixels.shape[1], -1, np.int32)
    local[used] = np.arange(len(used))
    skin = pixels[:, used]
    solved = [_surface_point(skin, targets[:, point, :2], local[triangles]) for point in range(SURFACE_POINTS)]
    eyes = [
        _iris(observations, point, side)
        for side, points in ((1, range(468, 473)), (0, range(473, 478)))
        for point in points
    ]
    draft = LandmarkMap(
        used[np.array([corners for corners, _ in solved])].astype(np.int32),
        np.array([weights for _, weights in solved], np.float32),
        np.array(eyes, np.float32),
        0.0,
    )
    return LandmarkMap(draft.vertices, draft.weights, draft.iris, _depth_offset(draft, observations))


def _depth_offset(draft: LandmarkMap, observations: Observations) -> float:
    """Median over renders of how far MediaPipe's origin of depth lies behind the mean surface point, in kit units."""
    offsets = []
    for i, reading in enumerate(observations.readings):
        surface, matrix = draft.surface(observations.vertices[i]), observations.matrices[i]
        depth = surface @ matrix[3, :3] + matrix[3, 3]
        px_per_unit = 0.5 * observations.size * np.linalg.norm(matrix[0, :3]) / depth.mean()
        offsets.append(-reading[:SURFACE_POINTS, 2].mean() / px_per_unit)
    return float(np.median(offsets))
