"""Fit the linear face to landmarks: face shape, expression, gaze and pose of a face from its 478 points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.errors import BadInput
from mien.faces.linear.arkit import KIT_INDEX, KIT_NAMES
from mien.faces.linear.face import LinearFace, Points
from mien.faces.linear.landmark_map import POINTS, SURFACE_POINTS
from mien.faces.linear.state import MAX_GAZE, gaze_coefficients
from mien.faces.linear.vectors import rotation

DISTANCE = 70.0
"""Camera distance in kit units that the perspective assumes: the studio's, and about a portrait photograph's."""

_NOISE = 0.12
"""Expected deviation of a point, in kit units (*inferred*: MediaPipe on 128 px renders)."""
_DEPTH_WEIGHT = 0.25
_EXPRESSION_SPREAD = 0.35
_STEPS = 12
_RIGID, _POSED = 6, 8
"""Number of rigid unknowns (pose [3], log scale, translation [2]), and with gaze [2]; shape and expression follow."""
_DRIVEN = np.array([not name.startswith("eyeLook") for name in KIT_NAMES])


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A face as the linear model sees it.

    Attributes:
        shape: [K] identity in standard deviations.
        coefficients: [53] expression in [0, 1]; the lids' `eyeLook*` follow `gaze`.
        gaze: (yaw, pitch) degrees.
        pose: (yaw, pitch, roll) degrees.
        scale: px per kit unit at the middle of the face.
        translation: [2] px where the middle of the face is.
        residual: root mean square distance of the points in px.
    """

    shape: Points
    coefficients: Points
    gaze: tuple[float, float]
    pose: tuple[float, float, float]
    scale: float
    translation: Points
    residual: float


def _camera(points: Points, turn: Points, scale: float, translation: Points) -> Points:
    """Head points [..., 3] about the middle of the face to px and depth [..., 3]; perspective from `DISTANCE`."""
    posed = points @ turn.T
    grow = scale / (1.0 - posed[..., 2:] / DISTANCE)
    flat = posed[..., :2] * grow * (1.0, -1.0) + translation
    return np.concatenate([flat, -scale * posed[..., 2:]], -1)


def project_fit(face: LinearFace, fit: LinearFit) -> NDArray[np.float32]:
    """The landmarks [478, 3] in px that a fit stands for."""
    middle = face.mean[:SURFACE_POINTS].mean(0)
    points = face.with_irises(face.head(fit.shape, fit.coefficients), fit.gaze) - middle
    out = _camera(points, rotation(*fit.pose), fit.scale, fit.translation)
    out[:, 2] -= out[:SURFACE_POINTS, 2].mean() + face.depth_offset * fit.scale
    return out.astype(np.float32)


def _first_guess(face: LinearFace, target: Points) -> tuple[tuple[float, float, float], float, Points]:
    """Pose, scale and translation of the mean face: least squares over the 2-D affine camera."""
    middle = face.mean[:SURFACE_POINTS].mean(0)
    points = face.mean[:SURFACE_POINTS] - middle
    flat = target[:SURFACE_POINTS, :2] * (1.0, -1.0)
    solved = np.linalg.lstsq(np.c_[points, np.ones(len(points))], flat, rcond=None)[0]
    rows = solved[:3].T
    scale = float(np.linalg.norm(rows, axis=1).mean())
    u, _, v = np.linalg.svd(rows)
    first, second = u @ v[:2]  # the rotation nearest to the affine camera
    turn = np.stack([first, second, np.cross(first, second)])
    pose = (
        float(np.degrees(np.arctan2(turn[0, 2], turn[2, 2]))),
        float(np.degrees(np.arcsin(np.clip(turn[1, 2], -1.0, 1.0)))),
        float(-np.degrees(np.arctan2(turn[1, 0], turn[1, 1]))),
    )
    return pose, scale, solved[3] * (1.0, -1.0)


class _Solver:
    """Damped Gauss-Newton over pose [3], log scale, translation [2], gaze [2], shape [K] and driven coefficients."""

    def __init__(self, face: LinearFace, target: Points, shape: Points | None) -> None:
        self.face, self.target = face, target.copy()
        self.target[:, 2] -= self.target[:SURFACE_POINTS, 2].mean()
        self.middle = face.mean[:SURFACE_POINTS].mean(0)
        self.fixed_shape = shape
        pose, scale, translation = _first_guess(face, target)
        driven = int(_DRIVEN.sum())
        self.rigid = np.array([*pose, np.log(scale), *translation])
        self.gaze = np.zeros(2)
        self.shape = np.zeros(face.shapes) if shape is None else np.asarray(shape, np.float64)
        self.driven = np.full(driven, 0.02)

    def coefficients(self) -> Points:
        row = np.zeros(len(KIT_NAMES))
        row[_DRIVEN] = self.driven
        for name, value in gaze_coefficients((self.gaze[0], self.gaze[1])).items():
            row[KIT_INDEX[name]] = value
        return row

    def points(self) -> Points:
        head = self.face.head(self.shape, self.coefficients())
        return self.face.with_irises(head, (self.gaze[0], self.gaze[1])) - self.middle

    def project(self, points: Points, rigid: Points) -> Points:
        out = _camera(points, rotation(*rigid[:3]), float(np.exp(rigid[3])), rigid[4:6])
        out[..., 2] -= out[..., :SURFACE_POINTS, 2].mean(-1)[..., None]
        return out

    def _rigid_and_gaze_jacobian(self, points: Points, here: Points) -> Points:
        columns = []
        for index, step in enumerate((0.05, 0.05, 0.05, 1e-4, 1e-3, 1e-3)):
            moved = self.rigid.copy()
            moved[index] += step
            columns.append((self.project(points, moved) - here) / step)
        for index in range(2):
            before = self.gaze.copy()
            self.gaze = before + np.eye(2)[index] * 0.05
            columns.append((self.project(self.points(), self.rigid) - here) / 0.05)
            self.gaze = before
        return np.array(columns)

    def _linear_jacobian(self, points: Points, here: Points, directions: Points) -> Points:
        return (self.project(points + 0.01 * directions, self.rigid) - here) / 0.01

    def _directions(self) -> Points:
        """Movements [K + driven, 478, 3] of the points by shape and expression, unposed."""
        face = self.face
        left, right = face.identity[:, SURFACE_POINTS], face.identity[:, SURFACE_POINTS + 1]
        eyes = np.concatenate([np.repeat(right[:, None], 5, 1), np.repeat(left[:, None], 5, 1)], 1)
        shape = np.concatenate([face.identity[:, :SURFACE_POINTS], eyes], 1)
        driven = face.expression[_DRIVEN]
        return np.concatenate([shape, np.concatenate([driven, np.zeros((len(driven), 10, 3))], 1)])

    def run(self) -> None:
        directions = self._directions()
        shapes = self.face.shapes
        weights = np.ones((POINTS, 3)) * (1.0, 1.0, _DEPTH_WEIGHT)
        for step in range(_STEPS):
            points = self.points()
            here = self.project(points, self.rigid)
            noise = _NOISE * np.exp(self.rigid[3])
            jacobian = np.concatenate(
                [self._rigid_and_gaze_jacobian(points, here), self._linear_jacobian(points, here, directions)]
            )
            a = (jacobian * (weights / noise)).reshape(len(jacobian), -1).T
            b = ((self.target - here) * (weights / noise)).reshape(-1)
            prior = np.concatenate(
                [np.full(_POSED, 1e-6), np.ones(shapes), np.full(len(self.driven), _EXPRESSION_SPREAD**-2)]
            )
            prior[_RIGID:_POSED] = 15.0**-2  # degrees of gaze
            now = np.concatenate([np.zeros(_RIGID), self.gaze, self.shape, self.driven])
            gradient = a.T @ b - prior * now
            face_shape, face = slice(_POSED, _POSED + shapes), slice(_POSED + shapes, None)
            free = np.ones(len(prior), bool)
            free[face] = ~(
                ((self.driven <= 0.0) & (gradient[face] < 0)) | ((self.driven >= 1.0) & (gradient[face] > 0))
            )
            if step < 2 or self.fixed_shape is not None:  # first the pose by itself, then everything
                free[face_shape] = False
            hessian = a[:, free].T @ a[:, free] + np.diag(prior[free] + 1e-9)
            delta = np.zeros(len(prior))
            delta[free] = np.linalg.solve(hessian, gradient[free])
            self.rigid += delta[:_RIGID]
            self.gaze = np.clip(self.gaze + delta[_RIGID:_POSED], -np.array(MAX_GAZE), np.array(MAX_GAZE))
            self.shape = self.shape + delta[face_shape]
            self.driven = np.clip(self.driven + delta[face], 0.0, 1.0)
            if np.abs(delta[:_RIGID]).max() < 1e-3 and np.abs(delta[_RIGID:]).max() < 1e-3:
                break


def fit_face(landmarks: ArrayLike, face: LinearFace | None = None, shape: ArrayLike | None = None) -> LinearFit:
    """Fit the linear face to landmarks by regularised least squares.

    All unknowns are solved together by Gauss-Newton on the 2-D distances and, at a quarter of the weight, the depths;
    identity has a unit normal prior, expression is pulled to neutral and kept in [0, 1] (*inferred* settings).

    Args:
        landmarks: [478, 3] px, MediaPipe's points of any picture.
        face: the model; None loads the shipped one.
        shape: [K] a known identity to keep; None fits it.

    Raises:
        BadInput: if there are not 478 finite points.
    """
    target = np.asarray(landmarks, np.float64)
    if target.shape != (POINTS, 3) or not np.isfinite(target).all():
        raise BadInput(f"A face has {POINTS} finite points (x, y, z), not an array of shape {target.shape}.")
    face = face or LinearFace.load()
    solver = _Solver(face, target, None if shape is None else np.asarray(shape, np.float64))
    solver.run()
    here = solver.project(solver.points(), solver.rigid)
    return LinearFit(
        shape=solver.shape,
        coefficients=solver.coefficients(),
        gaze=(float(solver.gaze[0]), float(solver.gaze[1])),
        pose=(float(solver.rigid[0]), float(solver.rigid[1]), float(solver.rigid[2])),
        scale=float(np.exp(solver.rigid[3])),
        translation=solver.rigid[4:6].copy(),
        residual=float(np.sqrt(((here - target)[:, :2] ** 2).sum(1).mean())),
    )


def retarget(landmarks: ArrayLike, shape: ArrayLike, face: LinearFace | None = None) -> NDArray[np.float32]:
    """Landmarks [478, 3] with the pose and expression of `landmarks` on the face shape `shape` [K].

    The difference that the other face shape makes in the model is added to the points, so that what the model cannot
    express of the expression is kept.
    """
    face = face or LinearFace.load()
    fit = fit_face(landmarks, face)
    moved = project_fit(face, replace(fit, shape=np.asarray(shape, np.float64))) - project_fit(face, fit)
    return (np.asarray(landmarks, np.float32) + moved).astype(np.float32)
