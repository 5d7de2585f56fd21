"""Derive the linear face from the face kit and the landmark map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.faces.linear.face import LinearFace
from mien.faces.linear.landmark_map import LandmarkMap
from mien.studio.geometry import EyeModel
from mien.studio.kit import FaceKit

IDENTITY_DIRECTIONS = 40
"""Directions kept of the kit's 100: 98 % of the variance of the points (tested)."""


def _points_of(kit: FaceKit, landmarks: LandmarkMap, offsets: NDArray[np.float32]) -> NDArray[np.float64]:
    """Movement [470, 3] of surface points and eyeball centres under vertex offsets [V, 3]."""
    eyes = [offsets[kit.vertices_in(f"sclera_{side}")].mean(0) for side in ("l", "r")]
    return np.concatenate([landmarks.surface(offsets), np.array(eyes)])


def build_linear_face(kit: FaceKit, landmarks: LandmarkMap) -> LinearFace:
    """The linear model of a kit: identity by principal components of its 100 modes, each one standard deviation."""
    centre = EyeModel.of(kit).center.astype(np.float64)
    eyes = np.array([centre, centre * (-1.0, 1.0, 1.0)])
    mean = np.concatenate([landmarks.surface(kit.neutral), eyes])
    modes = np.array([_points_of(kit, landmarks, mode) for mode in kit.identity])
    _, strength, directions = np.linalg.svd(modes.reshape(len(modes), -1), full_matrices=False)
    kept = strength[:IDENTITY_DIRECTIONS, None] * directions[:IDENTITY_DIRECTIONS]
    return LinearFace(
        mean=mean,
        identity=kept.reshape(-1, *mean.shape),
        expression=np.array([landmarks.surface(offsets) for offsets in kit.expression]),
        iris=landmarks.iris.astype(np.float64),
        depth_offset=landmarks.depth_offset,
    )
