"""Where the lights of a picture are, how bright, and the view from the key light."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from mien.faces.linear.vectors import Array, unit
from mien.faces.linear.view import Matrix, look_at
from mien.studio.scene import Light

_SHADOW_HALF: Final = 20.0


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
