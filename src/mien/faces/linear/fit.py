"""Fit the linear face to landmarks: face shape, expression, gaze and pose of a face from its 478 points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.errors import BadInput
from mien.faces.linear.arkit import KIT_INDEX, KIT_NAMES
from mien.faces.linear.face import LinearFace, Points
from mien.faces.linear.landmark_map import POINTS, SURFACE_POINTS
from mien.faces.linear.state import EYE_PITCH, MAX_GAZE, gaze_coefficients
from mien.faces.linear.vectors import rotation

DISTANCE = 70.0
"""Camera distance in kit units that the perspective assumes: the studio's, and about a portrait photograph's."""

_NOISE = 0.12
"""Expected deviation of a point, in kit units (*inferred*: MediaPipe on 128 px renders)."""
_DEPTH_WEIGHT = 0.25
_EXPRESSION_SPREAD = 0.35
_STEPS = 20
_ACTIVE_SETS = 20
_SETTLED = 1e-3
"""Largest change (degrees, px, standard deviations, coefficients) at which the iteration ends."""
_RIGID, FIXED = 6, 8
"""Number of rigid unknowns (pose [3], log scale, translation [2]), and with gaze [2]; shape and expression follow."""
_KEPT = 32
"""Fits that are kept, about 1 kB each."""
DRIVEN = np.array([not name.startswith("eyeLook") for name in KIT_NAMES])
DRIVEN_NAMES = tuple(name for name in KIT_NAMES if not name.startswith("eyeLook"))
"""The coefficients that are fitted; those of the lids follow the gaze."""


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


def _turning(yaw: float) -> Points:
    """Axes [2, 3] about which a degree of yaw and of pitch turns what `rotation(yaw, ...)` has turned, in radians."""
    angle = np.radians(yaw)
    return np.radians(1.0) * np.array([[0.0, 1.0, 0.0], [-np.cos(angle), 0.0, np.sin(angle)]])


class LandmarkSolver:
    """Gauss-Newton over pose [3], log scale, translation [2], gaze [2], shape [K] and driven coefficients.

    Args:
        face: the model.
        target: [478, 3] px.
        shape: [K] a known identity to keep; None fits it.
    """

    spread = _EXPRESSION_SPREAD
    least_steps = 2

    def __init__(self, face: LinearFace, target: Points, shape: Points | None) -> None:
        self.face, self.target = face, target.copy()
        self.target[:, 2] -= self.target[:SURFACE_POINTS, 2].mean()
        self.middle = face.mean[:SURFACE_POINTS].mean(0)
        self.fixed_shape = shape
        pose, scale, translation = _first_guess(face, target)
        self.rigid = np.array([*pose, np.log(scale), *translation])
        self.gaze = np.zeros(2)
        self.shape = np.zeros(face.shapes) if shape is None else np.asarray(shape, np.float64)
        self.driven = np.full(int(DRIVEN.sum()), 0.02)

    def coefficients(self) -> Points:
        """All [53], those of the lids included, which follow the gaze."""
        row = _lids(self.gaze)
        row[DRIVEN] = self.driven
        return row

    def points(self) -> Points:
        """The unposed points [478, 3] about the middle of the face."""
        head = self.face.head(self.shape, self.coefficients())
        return self.face.with_irises(head, (self.gaze[0], self.gaze[1])) - self.middle

    def project(self, points: Points) -> Points:
        """Unposed points [..., 478, 3] in px, the mean depth 0."""
        out = _camera(points, rotation(*self.rigid[:3]), float(np.exp(self.rigid[3])), self.rigid[4:6])
        out[..., 2] -= out[..., :SURFACE_POINTS, 2].mean(-1, keepdims=True)
        return out

    def _directions(self) -> Points:
        """Movements [3, K + driven, 478] of the points by shape and expression, unposed."""
        face = self.face
        left, right = face.identity[:, SURFACE_POINTS], face.identity[:, SURFACE_POINTS + 1]
        eyes = np.concatenate([np.repeat(right[:, None], 5, 1), np.repeat(left[:, None], 5, 1)], 1)
        shape = np.concatenate([face.identity[:, :SURFACE_POINTS], eyes], 1)
        driven = face.expression[DRIVEN]
        expression = np.concatenate([driven, np.zeros((len(driven), POINTS - SURFACE_POINTS, 3))], 1)
        return np.ascontiguousarray(np.concatenate([shape, expression]).transpose(2, 0, 1))

    def _gaze_directions(self) -> Points:
        """Movements [3, 2, 478] of the irises and the lids by a degree of gaze, unposed."""
        face, out = self.face, np.zeros((2, POINTS, 3))
        turned = face.iris @ rotation(self.gaze[0], self.gaze[1] * EYE_PITCH, 0.0).T
        out[:, SURFACE_POINTS:] = np.cross(_turning(self.gaze[0])[:, None] * [[[1.0]], [[EYE_PITCH]]], turned)
        lids, step = _lids(self.gaze), 0.01
        for index in range(2):  # the lids follow in straight lines, so that a difference is a derivative
            follow = (_lids(self.gaze + step * np.eye(2)[index]) - lids) / step
            out[index, :SURFACE_POINTS] = np.tensordot(follow[~DRIVEN], face.expression[~DRIVEN], 1)
        return out.transpose(2, 0, 1)

    def _jacobian(self, points: Points, directions: Points) -> Points:
        """Movements [8 + K + driven, 3, 478] of the projected points (px) by each unknown."""
        turn, scale = rotation(*self.rigid[:3]), float(np.exp(self.rigid[3]))
        posed = points @ turn.T
        axes = np.concatenate([_turning(self.rigid[0]), -np.radians(1.0) * turn[:, 2][None]])
        pose = np.cross(axes[:, None], posed).transpose(2, 0, 1)
        others = np.concatenate([self._gaze_directions(), directions], 1)
        others = (turn @ others.reshape(3, -1)).reshape(others.shape)
        x, y, z = np.concatenate([pose, np.zeros((3, _RIGID - 3, POINTS)), others], 1)
        near = 1.0 - posed[:, 2] / DISTANCE
        grow, toward = scale / near, z / (DISTANCE * near)
        out = np.stack([grow * (x + posed[:, 0] * toward), -grow * (y + posed[:, 1] * toward), -scale * z], 1)
        out[3] = grow * posed[:, 0], -grow * posed[:, 1], -scale * posed[:, 2]
        out[4, 0] = out[5, 1] = 1.0
        out[:, 2] -= out[:, 2, :SURFACE_POINTS].mean(1)[:, None]
        return out

    def weights(self, residual: Points, scale: float) -> Points:
        """Weight of each coordinate [3, 478 or 1] in 1/px, for residuals [3, 478] in px at ``scale`` px a unit."""
        return np.array((1.0, 1.0, _DEPTH_WEIGHT))[:, None] / (_NOISE * scale)

    def further(self, step: int, jacobian: Points, residual: Points) -> list[tuple[Points, Points]]:
        """Other observations than the single points: derivatives [unknowns, N] and residuals [N], each in deviations.

        Args:
            step: of the iteration, from 0.
            jacobian: [unknowns, 3, 478] movements of the projected points, px.
            residual: [3, 478] what is missing to the target, px.
        """
        return []

    def run(self) -> None:
        """Iterate until nothing changes any more."""
        directions = self._directions()
        shapes = self.face.shapes
        face_shape, face = slice(FIXED, FIXED + shapes), slice(FIXED + shapes, None)
        prior = np.concatenate([np.full(FIXED, 1e-6), np.ones(shapes), np.full(len(self.driven), self.spread**-2)])
        prior[_RIGID:FIXED] = 15.0**-2  # degrees of gaze
        limit = np.array(MAX_GAZE)
        for step in range(_STEPS):
            points = self.points()
            residual = (self.target - self.project(points)).T
            weight = self.weights(residual, float(np.exp(self.rigid[3])))
            jacobian = self._jacobian(points, directions)
            a = (jacobian * weight).reshape(len(prior), -1)
            hessian, gradient = a @ a.T, a @ (residual * weight).reshape(-1)
            for derivatives, missing in self.further(step, jacobian, residual):
                hessian, gradient = hessian + derivatives @ derivatives.T, gradient + derivatives @ missing
            now = np.concatenate([np.zeros(_RIGID), self.gaze, self.shape, self.driven])
            low, high = np.full(len(prior), -np.inf), np.full(len(prior), np.inf)
            low[_RIGID:FIXED], high[_RIGID:FIXED] = -limit - self.gaze, limit - self.gaze
            low[face], high[face] = -self.driven, 1.0 - self.driven
            if step < 2 or self.fixed_shape is not None:  # first the pose by itself, then everything
                low[face_shape] = high[face_shape] = 0.0
            delta = bounded_step(hessian + np.diag(prior + 1e-9), gradient - prior * now, low, high)
            self.rigid += delta[:_RIGID]
            self.gaze = np.clip(self.gaze + delta[_RIGID:FIXED], -limit, limit)
            self.shape = self.shape + delta[face_shape]
            self.driven = np.clip(self.driven + delta[face], 0.0, 1.0)
            if step >= self.least_steps and np.abs(delta).max() < _SETTLED:
                break

    def fit(self) -> LinearFit:
        """Run, and say what was found; nobody can write to its arrays."""
        self.run()
        here = self.project(self.points())
        fit = LinearFit(
            shape=self.shape,
            coefficients=self.coefficients(),
            gaze=(float(self.gaze[0]), float(self.gaze[1])),
            pose=(float(self.rigid[0]), float(self.rigid[1]), float(self.rigid[2])),
            scale=float(np.exp(self.rigid[3])),
            translation=self.rigid[4:6].copy(),
            residual=float(np.sqrt(((here - self.target)[:, :2] ** 2).sum(1).mean())),
        )
        for array in (fit.shape, fit.coefficients, fit.translation):
            array.setflags(write=False)
        return fit


def _lids(gaze: Points) -> Points:
    """Coefficients [53] of the lids that follow a gaze; zeros elsewhere."""
    row = np.zeros(len(KIT_NAMES))
    for name, value in gaze_coefficients((gaze[0], gaze[1])).items():
        row[KIT_INDEX[name]] = value
    return row


def bounded_step(hessian: Points, gradient: Points, low: Points, high: Points) -> Points:
    """The d that makes d H d / 2 - g d least within bounds: a primal-dual active set (Hintermueller et al. 2002)."""
    lower, upper = low == high, np.zeros(len(low), bool)
    step = np.zeros(len(low))
    for _ in range(_ACTIVE_SETS):
        bound = lower | upper
        step = np.where(lower, low, np.where(upper, high, 0.0))
        free = ~bound
        known = gradient[free] - hessian[np.ix_(free, bound)] @ step[bound]
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], known)
        pull = gradient - hessian @ step
        at_lower = np.where(lower, (pull < 0) | (low == high), step < low)
        at_upper = np.where(upper, pull > 0, step > high)
        if (at_lower == lower).all() and (at_upper == upper).all():
            break
        lower, upper = at_lower, at_upper
    return np.clip(step, low, high)


def fit_face(landmarks: ArrayLike, face: LinearFace | None = None, shape: ArrayLike | None = None) -> LinearFit:
    """Fit the linear face to landmarks by regularised least squares.

    All unknowns are solved together by Gauss-Newton on the 2-D distances and, at a quarter of the weight, the depths;
    identity has a unit normal prior, expression is pulled to neutral and kept in [0, 1] (*inferred* settings). The
    last fits are kept: a portrait needs one face's shape and expression at several places.

    Args:
        landmarks: [478, 3] px, MediaPipe's points of any picture.
        face: the model; None loads the shipped one.
        shape: [K] a known identity to keep; None fits it.

    Raises:
        BadInput: if there are not 478 finite points.
    """
    target = checked_landmarks(landmarks)
    known = None if shape is None else np.asarray(shape, np.float64).tobytes()
    return _fitted(face or LinearFace.load(), target.tobytes(), known)


def checked_landmarks(landmarks: ArrayLike) -> Points:
    """Landmarks as float64 [478, 3].

    Raises:
        BadInput: if there are not 478 finite points.
    """
    target = np.asarray(landmarks, np.float64)
    if target.shape != (POINTS, 3) or not np.isfinite(target).all():
        raise BadInput(f"A face has {POINTS} finite points (x, y, z), not an array of shape {target.shape}.")
    return target


def forget_fits() -> None:
    """Keep none of the fits: a face shape is somebody's."""
    _fitted.cache_clear()


@lru_cache(maxsize=_KEPT)
def _fitted(face: LinearFace, landmarks: bytes, shape: bytes | None) -> LinearFit:
    """See :func:`fit_face`; float64 arrays as bytes. Nobody can write to the arrays of what is kept."""
    target = np.frombuffer(landmarks).reshape(POINTS, 3)
    return LandmarkSolver(face, target, None if shape is None else np.frombuffer(shape)).fit()


def retarget(landmarks: ArrayLike, shape: ArrayLike, face: LinearFace | None = None) -> NDArray[np.float32]:
    """Landmarks [478, 3] with the pose and expression of `landmarks` on the face shape `shape` [K].

    The difference that the other face shape makes in the model is added to the points, so that what the model cannot
    express of the expression is kept.
    """
    face = face or LinearFace.load()
    fit = fit_face(landmarks, face)
    moved = project_fit(face, replace(fit, shape=np.asarray(shape, np.float64))) - project_fit(face, fit)
    return (np.asarray(landmarks, np.float32) + moved).astype(np.float32)
