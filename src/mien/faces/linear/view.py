"""The view of a posed head, and where its points fall in the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.faces.linear.vectors import Array, rotation, unit

Matrix = NDArray[np.float64]

PIVOT: Final = np.array([0.0, -5.5, -0.5])
"""The joint about which the head turns, in units."""

_HALF_HEIGHT: Final = 14.2  # at depth _DEPTH: the face fills two thirds of the picture
_DEPTH: Final = 3.0
_MIDDLE: Final = np.array([0.0, 2.0, 5.0])


@dataclass(frozen=True)
class Camera:
    """The view: ``fov`` in degrees, ``zoom`` (1 is the standard framing, larger is closer), ``offset`` in units."""

    fov: float = 24.0
    zoom: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)


def look_at(eye: Array, target: Array) -> Matrix:
    """View matrix [4, 4] of a camera at ``eye`` facing ``target``, +y up."""
    forward = unit(np.asarray(target, float) - eye)
    side = unit(np.cross(forward, (0.0, 1.0, 0.0)))
    view = np.eye(4)
    view[0, :3], view[1, :3], view[2, :3] = side, np.cross(side, forward), -forward
    view[:3, 3] = -view[:3, :3] @ eye
    return view


def perspective(fov: float, near: float, far: float) -> Matrix:
    """OpenGL projection [4, 4] of a square picture; ``fov`` in degrees."""
    scale = 1 / math.tan(math.radians(fov) / 2)
    depth = near - far
    return np.array(
        [[scale, 0, 0, 0], [0, scale, 0, 0], [0, 0, (far + near) / depth, 2 * far * near / depth], [0, 0, -1, 0]]
    )


class View:
    """Camera and head rotation of one picture.

    Attributes:
        head: [3, 3] rotation of the head about ``PIVOT``.
        eye: [3] position of the camera.
        matrix: [4, 4] view-projection.
    """

    def __init__(self, camera: Camera, pose: tuple[float, float, float]) -> None:
        self.head = rotation(*pose)
        distance = _HALF_HEIGHT / math.tan(math.radians(camera.fov) / 2) / camera.zoom
        # Follow most of the head's displacement, as a photographer would.
        turned = self.head @ (_MIDDLE - PIVOT) + PIVOT
        target = np.array([0.0, 2.1, _DEPTH]) + 0.7 * (turned - _MIDDLE) * np.array([1, 1, 0])
        target[:2] -= camera.offset
        self.eye = target + np.array([0.0, 0.0, distance])
        self.matrix = perspective(camera.fov, 0.4 * distance, 2.0 * distance) @ look_at(self.eye, target)

    def posed(self, points: Array, head_weight: Array) -> NDArray[Any]:
        """World positions [N, 3] of head points that follow the rotation by ``head_weight`` [N]."""
        turned = (points - PIVOT) @ self.head.T + PIVOT
        return points + (turned - points) * np.asarray(head_weight)[:, None]

    def project(self, points: Array, size: int) -> NDArray[np.float64]:
        """Pixels [N, 3] of world points [N, 3]: x right, y down, z in pixels (smaller is nearer)."""
        clip = np.c_[points, np.ones(len(points))] @ self.matrix.T
        w = clip[:, 3]
        x, y = (clip[:, 0] / w + 1) * size / 2, (1 - clip[:, 1] / w) * size / 2
        scale = self.matrix[1, 1] * size / 2 / np.linalg.norm(self.eye - PIVOT)
        return np.stack([x, y, (w - np.linalg.norm(self.eye - PIVOT)) * scale], 1)
