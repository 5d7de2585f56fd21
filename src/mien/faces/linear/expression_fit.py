"""An expression as coefficients of the linear face: from a face's landmarks and blendshapes together.

`fit_face` explains landmarks by shape and expression alike, and so tells a strong expression too weak: what the model
cannot do is averaged over all 478 points. Here the points of lips, eyelids and brows count more, points that the model
cannot follow count less, and the blendshapes that were read have to be read of the model's landmarks too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.faces.connections import POLYLINES
from mien.faces.linear.face import LinearFace, Points
from mien.faces.linear.fit import (
    DRIVEN,
    DRIVEN_NAMES,
    FIXED,
    LandmarkSolver,
    LinearFit,
    bounded_step,
    checked_landmarks,
)
from mien.faces.linear.landmark_map import POINTS
from mien.faces.linear.vectors import rotation

BlendshapeNetwork: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Landmarks [N, 478, 3] in px -> the blendshapes [N, 52] that are read of them, in MediaPipe's order."""

_PARTS = ("lips", "left_eye", "right_eye", "left_eyebrow", "right_eyebrow")
_FEATURES = 2.0
"""Weight of the points of lips, eyelids and brows (*inferred*, as all numbers here; benchmarks/photographs.py)."""
_OUTLIER = 3.0
"""Distance in expected deviations at which a point counts half (a Cauchy weight)."""
_SPREAD = 0.7
"""Prior deviation of a coefficient; `fit_face` pulls to neutral more, but here the expression is what is meant."""
_GAPS = np.array([
    (159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373), (13, 14), (82, 87), (312, 317),
])  # fmt: skip
"""(upper, lower) points of the lids and of the inner lips, the subject's right side first."""
_LIDS = 6
"""How many of them are lids'."""
_WIDEST = 1.5
"""Largest share of a person's own opening of the eyes at rest that is asked for."""
_GAP_NOISE, _CHANGE = 0.02, 0.25
"""Expected deviation of a gap in kit units, and of a coefficient that is changed for it."""
_OPPOSITES = np.array([
    [DRIVEN_NAMES.index(f"{name}_{side}") for name in pair]
    for pair in (("eyeWide", "eyeBlink"), ("eyeWide", "eyeSquint"), ("mouthSmile", "mouthFrown")) for side in "LR"
])  # fmt: skip
"""Pairs of coefficients that pull against each other: a fit would use both for what neither does."""
_TOGETHER = 0.1
"""Deviation of the product of two opposites from 0."""
_BLENDSHAPE_NOISE = 0.05
"""Expected deviation of a blendshape."""
_STEP = 0.02
"""Difference of a coefficient, or of a gaze in 60 degrees, by which the network's derivatives are taken."""
_SETTLING, _AGAIN = 4, 8
"""Steps on landmarks alone, and the step at which the derivatives are taken once more; between them they are kept."""
_KEPT = 32


class _Solver(LandmarkSolver):
    spread = _SPREAD

    def __init__(
        self, face: LinearFace, target: Points, blendshapes: Points | None, network: BlendshapeNetwork | None
    ) -> None:
        super().__init__(face, target, None)
        self.blendshapes, self.network = blendshapes, network
        self.least_steps = 2 if blendshapes is None else _AGAIN + 1
        self._features = np.ones(POINTS)
        self._features[[point for part in _PARTS for line in POLYLINES[part] for point in line]] = _FEATURES
        self._derivatives: Points | None = None

    def weights(self, residual: Points, scale: float) -> Points:
        weight = super().weights(residual, scale)
        distance = np.linalg.norm(residual[:2] * weight[:2], axis=0)
        return weight * self._features / np.sqrt(1.0 + (distance / _OUTLIER) ** 2)

    def further(self, step: int, jacobian: Points, residual: Points) -> list[tuple[Points, Points]]:
        found = [self._opposites(len(jacobian))]
        if self.network is not None and self.blendshapes is not None and step >= _SETTLING:
            found.append(self._blendshapes(step, len(jacobian)))
        return found

    def _opposites(self, unknowns: int) -> tuple[Points, Points]:
        """The product of two coefficients that no face shows together, which should be 0."""
        rows = np.zeros((unknowns, len(_OPPOSITES)))
        one, other = (self.driven[side] for side in _OPPOSITES.T)
        first, number = FIXED + self.face.shapes, np.arange(len(_OPPOSITES))
        rows[first + _OPPOSITES[:, 0], number], rows[first + _OPPOSITES[:, 1], number] = other, one
        return rows / _TOGETHER, -one * other / _TOGETHER

    def _blendshapes(self, step: int, unknowns: int) -> tuple[Points, Points]:
        """The blendshapes that the network reads of the model's landmarks."""
        points = self.points()
        if self._derivatives is None or step == _AGAIN:
            moves = np.concatenate([self._gaze_directions() * 60.0, self._directions()[:, self.face.shapes :]], 1)
            read = self._read(np.concatenate([points[None], points + _STEP * moves.transpose(1, 2, 0)]))
            here, changed = read[0], (read[1:] - read[0]) / _STEP
            self._derivatives = np.zeros((unknowns, changed.shape[1]))
            self._derivatives[FIXED - 2 : FIXED] = changed[:2] / 60.0
            self._derivatives[FIXED + self.face.shapes :] = changed[2:]
            self._derivatives /= _BLENDSHAPE_NOISE
        else:
            here = self._read(points[None])[0]
        return self._derivatives, (self.blendshapes - here) / _BLENDSHAPE_NOISE

    def _read(self, points: Points) -> Points:
        assert self.network is not None
        return self.network(self.project(points).astype(np.float32)).astype(np.float64)


def fit_expression(
    landmarks: ArrayLike, blendshapes: ArrayLike | None = None, network: BlendshapeNetwork | None = None
) -> LinearFit:
    """Coefficients, gaze and pose of the face whose expression is wanted; bounded by what the linear face can do.

    The last fits are kept.

    Args:
        landmarks: [478, 3] px of any picture.
        blendshapes: [52] as they were read there; used with ``network`` alone.
        network: what read them; None leaves landmarks alone.

    Raises:
        BadInput: if there are not 478 finite points.
    """
    target = checked_landmarks(landmarks)
    if blendshapes is None or network is None:
        return _fitted(target.tobytes(), None, None)
    return _fitted(target.tobytes(), np.asarray(blendshapes, np.float64).tobytes(), network)


def settled(fit: LinearFit, landmarks: ArrayLike, shape: ArrayLike | None) -> Points:
    """Coefficients [53] under which another person's lids and lips are as near together as they were seen.

    A small eye may be half shut and a shut one small: one picture cannot tell. So a fit's coefficients leave a
    person's large eyes open where the template's are shut, and lips apart. Lids get the share of their opening at rest
    that the template's have, lips the same distance; the least change of the coefficients that does it is made.

    Args:
        fit: of the template, by `fit_expression`.
        landmarks: [478, 3] px that it was fitted to.
        shape: [K] of the person; None is the mean.
    """
    face, target = LinearFace.load(), checked_landmarks(landmarks)
    upper, lower = _GAPS.T
    up = rotation(*fit.pose)[:2, 1] * (1.0, -1.0)  # the head's, in the picture; shorter where it nods
    seen = (target[upper, :2] - target[lower, :2]) @ up / (up @ up) / fit.scale
    own, rest = (head[upper, 1] - head[lower, 1] for head in (face.head(fit.shape), face.head(shape)))
    seen[:_LIDS] *= rest[:_LIDS] / np.maximum(own[:_LIDS], 1e-3)
    seen[:_LIDS] = np.minimum(seen[:_LIDS], _WIDEST * rest[:_LIDS])
    moves = face.expression[:, upper, 1] - face.expression[:, lower, 1]
    missing = seen - rest - fit.coefficients @ moves
    free = moves * DRIVEN[:, None] / _GAP_NOISE
    change = bounded_step(
        free @ free.T + np.eye(len(free)) / _CHANGE**2,
        free @ missing / _GAP_NOISE,
        np.where(DRIVEN, -fit.coefficients, 0.0),
        np.where(DRIVEN, 1.0 - fit.coefficients, 0.0),
    )
    return np.clip(fit.coefficients + change, 0.0, 1.0)


def forget_expressions() -> None:
    """Keep none of the fits: a face shape is somebody's."""
    _fitted.cache_clear()


@lru_cache(maxsize=_KEPT)
def _fitted(landmarks: bytes, blendshapes: bytes | None, network: BlendshapeNetwork | None) -> LinearFit:
    target = np.frombuffer(landmarks).reshape(POINTS, 3)
    read = None if blendshapes is None else np.frombuffer(blendshapes)
    return _Solver(LinearFace.load(), target, read, network).fit()
