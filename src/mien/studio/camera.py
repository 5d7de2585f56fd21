"""The view of a posed head, and where its points fall in the picture."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.studio.picture import Camera, Light
from mien.studio.vectors import Array, rotation, unit

Matrix = NDArray[np.float64]

PIVOT: Final = np.array([0.0, -5.5, -0.5])
"""The joint about which the head turns, in units."""

_HALF_HEIGHT: Final = 14.2  # at depth _DEPTH: the face fills two thirds of the picture
_DEPTH: Final = 3.0
_MIDDLE: Final = np.array([0.0, 2.0, 5.0])
_SHADOW_HALF: Final = 20.0


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


def light_vectors(light: Light) -> dict[str, Array]:
    """Directions [3] towards the key (``Lk``), fill (``Lf``) and rim (``Lr``) lights."""
    azimuth, elevation = math.radians(light.azimuth), math.radians(light.elevation)
    key = np.array(
        [math.sin(azimuth) * math.cos(elevation), math.sin(elevation), math.cos(azimuth) * math.cos(elevation)]
    )
    across = -math.copysign(1.0, azimuth)
    return {
        "Lk": key,
        "Lf": unit(np.array([0.8 * across, 0.15, 0.75])),
        "Lr": unit(np.array([0.7 * across, 0.45, -0.75])),
    }


def light_colors(light: Light, skin_tone: float) -> dict[str, Array]:
    """Colours [3] of key, fill, rim, sky (``Ca``) and ground (``Cg``), exposed for the skin as a photographer would."""
    w, exposure = light.warmth, 0.8 + 0.36 * skin_tone
    colors = {
        "Ck": light.key * np.array([1 + w, 1, 1 - 1.3 * w]),
        "Cf": light.fill * np.array([0.92 + 0.4 * w, 0.97, 1.08 - 0.6 * w]),
        "Cr": light.rim * np.array([1.0, 0.98, 0.95]),
        "Ca": light.ambient * np.array([0.96 + 0.5 * w, 1.0, 1.06 - 0.7 * w]),
        "Cg": 0.55 * light.ambient * np.array([1.08, 0.98, 0.9]),
    }
    return {name: exposure * color for name, color in colors.items()}


def shadow_matrix(toward_key: Array) -> Matrix:
    """Orthographic view-projection [4, 4] from the key light."""
    view = look_at(60.0 * toward_key, np.array([0.0, -1.0, 2.0]))
    h = _SHADOW_HALF
    return np.array([[1 / h, 0, 0, 0], [0, 1 / h, 0, 0], [0, 0, -1 / 40, -60 / 40], [0, 0, 0, 1]]) @ view
