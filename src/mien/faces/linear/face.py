"""A small linear model of MediaPipe's 478 points: landmark pictures without any reference picture.

It is derived from ICT-FaceKit (MIT; its notice ships beside the data) through the landmark map, holds 40 directions of
identity and the 53 expression coefficients, and needs neither the kit nor a renderer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from mien.core.io import atomic_path
from mien.faces.linear.arkit import KIT_INDEX
from mien.faces.linear.landmark_map import DATA, SURFACE_POINTS, project_points
from mien.faces.linear.state import EYE_PITCH, gaze_coefficients
from mien.faces.linear.vectors import rotation, smoothstep
from mien.faces.linear.view import Camera, View

FACE_FILE = DATA / "linear_face.safetensors"
_ARRAYS = ("mean", "identity", "expression", "iris")

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearFace:
    """Mean and directions, in kit units (about cm): +x the subject's left, +y up, +z out of the face.

    Attributes:
        mean: [470, 3], the 468 surface points and the eyeballs' centres (left, right).
        identity: [K, 470, 3] directions of one standard deviation each, most important first.
        expression: [53, 468, 3] offsets at coefficient 1, order of `KIT_NAMES`.
        iris: [10, 3] iris points from their eyeball's centre, looking ahead: 5 of the right eye, 5 of the left.
        depth_offset: see `LandmarkMap`.
    """

    mean: Points
    identity: Points
    expression: Points
    iris: Points
    depth_offset: float

    @classmethod
    @cache
    def load(cls) -> Self:
        """The model that ships with the package."""
        with safe_open(FACE_FILE, framework="numpy") as stored:
            arrays = {name: stored.get_tensor(name).astype(np.float64) for name in _ARRAYS}
            return cls(**arrays, depth_offset=float(stored.metadata()["depth_offset"]))

    def save(self, path: Path) -> None:
        """Write the model in half precision (under 300 kB; the error is below 0.005 units)."""
        arrays = {name: np.ascontiguousarray(getattr(self, name), np.float16) for name in _ARRAYS}
        metadata = {"depth_offset": f"{self.depth_offset:.5f}", "license": "MIT (ICT-FaceKit)"}
        with atomic_path(path) as temporary:
            save_file(arrays, temporary, metadata=metadata)

    @property
    def shapes(self) -> int:
        """Number K of identity directions."""
        return len(self.identity)

    def head(self, shape: ArrayLike | None = None, coefficients: ArrayLike | None = None) -> Points:
        """Surface points and eyeball centres of an unposed head, [470, 3].

        Args:
            shape: [<= K] identity in standard deviations; None is the mean person.
            coefficients: [53] expression in [0, 1]; None is neutral.
        """
        points = self.mean.copy()
        if shape is not None:
            values = np.asarray(shape, np.float64)
            points += np.tensordot(values, self.identity[: len(values)], 1)
        if coefficients is not None:
            points[:SURFACE_POINTS] += np.tensordot(np.asarray(coefficients, np.float64), self.expression, 1)
        return points

    def with_irises(self, head: Points, gaze: tuple[float, float]) -> Points:
        """The 478 points of an unposed head [470, 3]; the eyeballs turned by `gaze` degrees (yaw, pitch)."""
        turned = self.iris @ rotation(gaze[0], gaze[1] * EYE_PITCH, 0.0).T
        left, right = head[SURFACE_POINTS], head[SURFACE_POINTS + 1]
        return np.concatenate([head[:SURFACE_POINTS], right + turned[:5], left + turned[5:]])

    def landmarks(
        self,
        coefficients: ArrayLike | None = None,
        pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
        gaze: tuple[float, float] = (0.0, 0.0),
        shape: ArrayLike | None = None,
        size: int = 128,
        camera: Camera | None = None,
    ) -> NDArray[np.float32]:
        """Landmarks [478, 3] in px of a studio picture, framed as the studio frames it.

        Args:
            coefficients: [53] expression, order of `KIT_NAMES`; the lids follow the gaze by themselves.
            pose: (yaw, pitch, roll) of the head in degrees.
            gaze: (yaw, pitch) of the eyes in degrees, against the head.
            shape: [<= K] identity in standard deviations; None is the mean person.
            size: side of the picture in px.
            camera: view; None is the studio's standard one.
        """
        row = np.zeros(len(KIT_INDEX)) if coefficients is None else np.array(coefficients, np.float64)
        for name, value in gaze_coefficients(gaze).items():
            row[KIT_INDEX[name]] = max(row[KIT_INDEX[name]], value)
        points = self.with_irises(self.head(shape, row), gaze)
        view = View(camera or Camera(), pose)
        weight = np.ones(len(points))
        weight[:SURFACE_POINTS] = smoothstep(-15.0, -8.0, self.mean[:SURFACE_POINTS, 1])  # the neck stays behind
        return project_points(view.posed(points, weight), view.matrix, size, self.depth_offset)
