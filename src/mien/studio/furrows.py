"""Lines that expressions and age draw into the skin: static patterns and how strongly each shows.

Pattern positions and weights are ours (*inferred*), after the action units of the Facial Action Coding System.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.faces.linear.vectors import distance_to_path, smoothstep
from mien.studio.kit import FaceKit, Floats

Path = tuple[tuple[float, float], ...]

# Name -> polylines on the subject's left half (frontal plane, units) and half width of the line.
_LINES: Final[dict[str, tuple[tuple[Path, ...], float]]] = {
    "glabella": ((((0.55, 4.7), (0.7, 5.6), (0.95, 6.7)),), 0.3),
    "forehead_inner": (
        (
            ((0.0, 7.7), (1.3, 7.75), (2.4, 7.5)),
            ((0.0, 8.6), (1.3, 8.7), (2.6, 8.5)),
            ((0.0, 9.5), (1.2, 9.6), (2.2, 9.45)),
        ),
        0.27,
    ),
    "forehead_outer": (
        (((2.2, 7.5), (3.6, 7.55), (5.0, 6.9)), ((2.4, 8.5), (3.6, 8.55), (4.9, 8.0)), ((2.2, 9.4), (4.2, 9.2))),
        0.27,
    ),
    "nasolabial": ((((1.75, 0.1), (2.3, -0.9), (2.95, -2.2), (3.3, -3.4), (3.3, -4.2)),), 0.34),
    "nose": ((((0.15, 3.7), (0.9, 4.2)), ((0.2, 2.9), (1.1, 3.4)), ((0.35, 2.0), (1.3, 2.5))), 0.26),
    "crow": (
        (((4.9, 3.55), (5.6, 4.1), (6.2, 4.6)), ((5.0, 3.3), (6.3, 3.4)), ((4.9, 3.0), (5.6, 2.5), (6.1, 2.1))),
        0.24,
    ),
    "under_eye": ((((1.7, 2.7), (2.4, 2.25), (3.2, 2.1), (4.0, 2.3), (4.6, 2.7)),), 0.26),
    "eye_bag": ((((1.5, 2.35), (2.1, 1.7), (3.1, 1.4), (4.1, 1.6), (4.8, 2.2)),), 0.36),
    "cheek": ((((4.7, -0.6), (5.0, -1.8), (4.9, -3.2), (4.5, -4.4)),), 0.4),
    "jowl": ((((2.9, -5.4), (3.6, -6.0), (4.5, -5.9)),), 0.45),
    "lip": (
        (((0.5, -1.75), (0.45, -2.3)), ((1.1, -1.75), (1.2, -2.35)), ((1.7, -2.0), (1.95, -2.6))),
        0.17,
    ),
    "marionette": ((((2.75, -3.8), (3.05, -4.6), (3.1, -5.6)),), 0.3),
    "chin": ((((0.0, -5.2), (0.7, -5.25), (1.4, -5.6)),), 0.36),
}

FURROWS: Final = tuple(f"{name}_{side}" for name in _LINES for side in "LR")

# Line -> how much each coefficient of the same side (or without a side) contributes.
_DRIVERS: Final[dict[str, dict[str, float]]] = {
    "glabella": {"browDown": 1.1, "noseSneer": 0.35, "browInnerUp": 0.15},
    "forehead_inner": {"browInnerUp": 0.9, "browOuterUp": 0.25, "browDown": -0.5},
    "forehead_outer": {"browOuterUp": 0.9, "browInnerUp": 0.2, "browDown": -0.5},
    "nasolabial": {
        "mouthSmile": 0.75, "noseSneer": 0.6, "cheekSquint": 0.35, "mouthUpperUp": 0.5, "mouthDimple": 0.3,
        "mouthStretch": 0.3, "mouthPucker": -0.4, "mouthFunnel": -0.4, "cheekPuff": -0.8,
    },
    "nose": {"noseSneer": 1.1, "browDown": 0.2},
    "crow": {"cheekSquint": 0.7, "eyeSquint": 0.45, "mouthSmile": 0.25, "eyeBlink": 0.15},
    "under_eye": {"cheekSquint": 0.55, "eyeSquint": 0.5, "mouthSmile": 0.15},
    "eye_bag": {},
    "cheek": {},
    "jowl": {},
    "lip": {},
    "marionette": {"mouthFrown": 0.9, "mouthStretch": 0.3, "mouthPress": 0.2},
    "chin": {"mouthShrugLower": 0.8, "mouthFrown": 0.35, "mouthPress": 0.25},
}  # fmt: skip

# Line -> how strongly it stands in an old, resting face.
_AGE: Final[dict[str, float]] = {
    "glabella": 0.45, "forehead_inner": 0.5, "forehead_outer": 0.4, "nasolabial": 0.75, "nose": 0.05,
    "crow": 0.55, "under_eye": 0.8, "marionette": 0.6, "chin": 0.15,
}  # fmt: skip

# Line -> what the last decades add, from 48 years on.
_LATE: Final[dict[str, float]] = {
    "glabella": 0.2, "forehead_inner": 0.15, "forehead_outer": 0.15, "nasolabial": 0.4, "crow": 0.5, "under_eye": 0.25,
    "eye_bag": 0.95, "cheek": 0.45, "jowl": 0.7, "lip": 0.6, "marionette": 0.45, "chin": 0.2,
}  # fmt: skip


def furrow_patterns(kit: FaceKit) -> Floats:
    """Line patterns [V, F] in the order of ``FURROWS``: 1 in the groove, slightly negative on the folds beside it."""
    face = kit.vertices_in("face") & (kit.neutral[:, 2] > 3.0)
    x, y = kit.neutral[face, 0], kit.neutral[face, 1]
    patterns = np.zeros((len(kit.neutral), len(FURROWS)), np.float32)
    column = 0
    for paths, width in _LINES.values():
        for sign in (1.0, -1.0):
            points = np.stack([x * sign, y], 1)
            groove = np.zeros(len(points), np.float32)
            for path in paths:
                distance = distance_to_path(points, np.asarray(path)) / width
                # A groove with raised rims: the difference of two bells.
                profile = 1.35 * np.exp(-(distance**2)) - 0.35 * np.exp(-((distance / 2.2) ** 2))
                groove = np.where(np.abs(profile) > np.abs(groove), profile, groove)
            # Lines that reach the middle belong to both sides in halves.
            patterns[face, column] = groove * smoothstep(-0.5, 0.5, points[:, 0])
            column += 1
    return patterns


def furrow_weights(coefficients: Mapping[str, float], age: float, roughness: float) -> NDArray[np.float32]:
    """How deep each of ``FURROWS`` is, 0..1.3, from expression coefficients by name, age (years) and skin roughness."""
    aged = float(smoothstep(28.0, 76.0, age)) * (0.7 + 0.6 * roughness)
    late = float(smoothstep(48.0, 74.0, age)) * (0.75 + 0.5 * roughness)
    # Old skin folds more easily; very young skin hardly.
    response = 0.6 + 0.55 * float(smoothstep(18.0, 60.0, age))
    weights = np.zeros(len(FURROWS), np.float32)
    for index, furrow in enumerate(FURROWS):
        name, side = furrow.rsplit("_", 1)
        driven = sum(
            factor * (coefficients.get(f"{driver}_{side}", 0.0) + coefficients.get(driver, 0.0))
            for driver, factor in _DRIVERS[name].items()
        )
        weights[index] = min(
            max(aged * _AGE.get(name, 0.0) + late * _LATE.get(name, 0.0) + response * driven, 0.0), 1.3
        )
    return weights
