"""The head's pose from 478 landmarks, as MediaPipe's geometry pipeline finds it (package mediapipe, Apache-2.0).

The landmarks are brought from the screen into a metric space under an assumed camera, so that a canonical face fits
them best by a similarity; the rotation of that similarity is the head's.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mien.errors import BadInput

Floats = NDArray[np.float64]

FIELD_OF_VIEW = 63.0
"""Vertical angle in degrees of the camera that MediaPipe assumes; its near plane lies at 1 cm."""
POINTS = 468
"""Landmarks of the canonical face: the irises have no part in it."""


@dataclass(frozen=True, eq=False)
class CanonicalFace:
    """What the bundle's geometry file holds.

    Attributes:
        points: [468, 3] in cm, x to the subject's left, y up, z out of the face.
        weights: [468], how much each point counts in the fit.
    """

    points: Floats
    weights: Floats

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Read ``geometry_pipeline_metadata_landmarks.binarypb`` (protocol buffers' wire format).

        Raises:
            BadInput: if it is no such file.
        """
        try:
            mesh: list[float] = []
            weights = np.zeros(POINTS)
            for number, value in _fields(data):
                if number == 1 and isinstance(value, bytes):
                    mesh = [struct.unpack("<f", one)[0] for at, one in _fields(value) if at == 3]  # type: ignore[arg-type]
                elif number == 2 and isinstance(value, bytes):
                    parts = dict(_fields(value))
                    weights[int(parts.get(1, 0))] = struct.unpack("<f", parts[2])[0]  # type: ignore[arg-type, call-overload]
            points = np.array(mesh).reshape(POINTS, 5)[:, :3]  # the other two are texture coordinates
        except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
            raise BadInput(f"{source} is not MediaPipe's face geometry: get it again  (mien assets verify).") from error
        if not weights.any():
            raise BadInput(f"{source} has no weights of landmarks: get it again  (mien assets verify).")
        return cls(points, weights)

    def matrix(self, landmarks: NDArray[np.floating], width: int, height: int) -> Floats:
        """The facial transformation matrix [4, 4]: canonical face to camera, in cm.

        Args:
            landmarks: [478, 3] pixels of the picture, z in the same unit.
            width: of the picture.
            height: of the picture.
        """
        tall = 2.0 * math.tan(0.5 * math.radians(FIELD_OF_VIEW))
        wide = tall * width / height
        screen = np.asarray(landmarks, np.float64)[:POINTS] / [width, height, width]
        screen = np.stack(
            [(screen[:, 0] - 0.5) * wide, (0.5 - screen[:, 1]) * tall, screen[:, 2] * wide], 1
        )  # on the near plane
        middle = float(screen[:, 2].mean())
        first = self._scale(screen * [1, 1, -1])
        second = self._scale(_unprojected(screen, middle, first))
        return self._similarity(_unprojected(screen, middle, first * second))

    def _scale(self, points: Floats) -> float:
        return float(np.linalg.norm(self._similarity(points)[:3, 0]))

    def _similarity(self, points: Floats) -> Floats:
        """The weighted least-squares similarity [4, 4] from the canonical face to points [468, 3]."""
        w = self.weights / self.weights.sum()
        source_mean, target_mean = w @ self.points, w @ points
        source, target = self.points - source_mean, points - target_mean
        u, _, vt = np.linalg.svd((target * w[:, None]).T @ source)
        signs = np.diag([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
        rotation = u @ signs @ vt
        scale = float((w * (target * (source @ rotation.T)).sum(1)).sum() / (w * (source**2).sum(1)).sum())
        result = np.eye(4)
        result[:3, :3] = scale * rotation
        result[:3, 3] = target_mean - scale * rotation @ source_mean
        return result


def _unprojected(screen: Floats, middle: float, scale: float) -> Floats:
    """Points on the near plane [N, 3] where their depth puts them, in a right-handed space."""
    z = (screen[:, 2] - middle + 1.0) / scale
    return np.stack([screen[:, 0] * z, screen[:, 1] * z, -z], 1)


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """(number, value) of each field of a message in protocol buffers' wire format."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if kind == 2:
            length, place = _varint(data, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        yield number, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
