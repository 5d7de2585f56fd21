"""Two plaits that hang beside the face."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.faces.linear.vectors import smoothstep, unit
from mien.studio.meshes import torso_section

Field = NDArray[Any]

_RADIUS: Final = 1.15
_LENGTH: Final = 15.5
_LOBE: Final = 1.15


def gathered_at(roots: Field, parting: float) -> Field:
    """Where the hair at each root [N, 3] is tied: behind the ear of its side of the parting."""
    side = np.where(roots[:, 0] > parting, 1.0, -1.0)
    return np.stack([7.0 * side, np.full(len(roots), -2.6), np.full(len(roots), 0.2)], 1)


def plaits(rng: np.random.Generator, shoulders: float, neck: float, points: int, detail: float) -> tuple[Field, ...]:
    """Both plaits as short strands, lobe by lobe.

    Args:
        rng: source of randomness.
        shoulders: width factor of the shoulders.
        neck: half width of the neck.
        points: points a strand.
        detail: 1 for all strands.

    Returns:
        Paths [N, points, 3], shading normals of the same shape and chances [N].
    """
    paths, normals, chances = [], [], []
    count, lobes = max(10, int(34 * detail)), int(_LENGTH / _LOBE)
    along = np.linspace(0, 1, points)[None]
    for side in (1.0, -1.0):
        for lobe in range(lobes + 1):
            tail = lobe >= lobes - 1  # below the band the hair hangs free
            radius = _RADIUS * (1.0 - 0.3 * lobe / lobes)
            spread, facing = rng.uniform(-1, 1, (count, 1)), np.where(rng.random((count, 1)) < 0.7, 1.0, -1.0)
            sway = 1.0 if lobe % 2 else -1.0
            if tail:
                across = radius * 0.55 * spread * (0.5 + 0.9 * np.sin(np.pi * np.clip(along * 0.8, 0, 1)))
                down = (lobe + 2.2 * along * rng.uniform(0.7, 1.2, (count, 1))) * _LOBE
            else:
                across = radius * (sway * (0.95 - 1.25 * along**1.4) + 0.3 * spread)
                down = (lobe + 1.9 * along + 0.25 * spread) * _LOBE
            across = np.clip(across, -radius, radius)
            depth = (
                facing
                * 0.85
                * np.sqrt(np.clip(radius**2 - across**2, 0.02, None))
                * (0.75 + 0.25 * np.sin(np.pi * along))
            )
            center = _center(down, side, shoulders, neck)
            path = center + np.stack([across, np.zeros_like(across), depth], -1)
            paths.append(path)
            normals.append(unit(path - center + np.array([0.0, 0.0, 0.3])))
            chances.append(np.clip(0.5 + 0.35 * rng.normal(size=count), 0, 1))
    return np.concatenate(paths), np.concatenate(normals), np.concatenate(chances)


def _center(down: Field, side: float, shoulders: float, neck: float) -> Field:
    """The middle of a plait at distances below its band: beside the neck, then in front of the shoulder."""
    height = -2.6 - down
    half_width, half_depth, middle = torso_section(np.minimum(height, -10.0), shoulders, neck)
    x = side * (7.0 + 0.5 * smoothstep(-3, -9, height) - 0.6 * smoothstep(-11, -16, height))
    front = middle + np.sqrt(np.clip(1 - (x / (half_width + 0.5)) ** 2, 0.05, 1)) * half_depth + 1.1
    z = 0.2 + (np.maximum(front, 0.6) - 0.2) * smoothstep(-4, -12.5, height)
    return np.stack([x, height, z], -1)
