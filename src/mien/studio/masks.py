"""Where things are on the skin: smooth per-vertex masks on the neutral head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.faces.linear.vectors import signed_distance, smooth_closed, smoothstep
from mien.studio.kit import FaceKit, Floats

# Hairline height over the angle around the head (0 front, 180 back), in degrees and units.
_HAIRLINE_ANGLES = (0, 20, 38, 50, 60, 68, 78, 84, 90, 100, 112, 122, 135, 155, 180)
_HAIRLINE_HEIGHTS = (11.2, 11.1, 10.4, 9.0, 7.0, 4.0, 2.0, 2.4, 5.6, 5.6, 3.5, -0.5, -4.5, -5.8, -6.0)


@dataclass(frozen=True, eq=False)
class SkinMasks:
    """Masks [V] on the neutral head, 0..1 unless stated.

    Attributes:
        lip: signed distance to the lips' outline in units, positive inside.
        blush: cheeks. ``red``: nose tip and ears, ``eyelid``: around the eyes, ``nostril``, ``forehead``.
        scalp: height above the hairline in units (negative below).
        beard, moustache, chin: where each kind of beard grows.
        face: 1 on the face (chin to hairline, without ears and neck).
        head_weight: how much a vertex follows the head's rotation (0 at the shoulders).
    """

    lip: Floats
    blush: Floats
    red: Floats
    eyelid: Floats
    nostril: Floats
    forehead: Floats
    scalp: Floats
    beard: Floats
    moustache: Floats
    chin: Floats
    face: Floats
    head_weight: Floats


def build_masks(kit: FaceKit) -> SkinMasks:
    """Derive all masks from the neutral head."""
    x, y, z = kit.neutral.T
    across = np.abs(x)
    face = kit.vertices_in("face")
    skin = face | kit.vertices_in("head")
    lip = _lip_distance(kit)

    jaw = smoothstep(-1.4, -3.2, y - 0.10 * across**1.25 + 0.2) * smoothstep(-11.0, -8.6, y) * smoothstep(1.5, 4.5, z)
    moustache = smoothstep(3.3, 2.4, across) * smoothstep(-1.4, -1.8, y) * smoothstep(-3.6, -3.0, y) * (z > 9)
    sideburn = smoothstep(5.2, 6.3, across) * smoothstep(2.2, 0.5, y) * smoothstep(-8, -5, y)
    sideburn *= (z > 2.2) * (z < 6.5) * (across < 7.4)
    # No hair on the lips nor on a narrow rim around them.
    off_lips = smoothstep(-0.05, -0.3, lip)
    beard = np.clip(np.maximum(np.maximum(jaw, moustache), sideburn), 0, 1) * off_lips
    chin = smoothstep(3.2, 2.2, across) * smoothstep(-4.7, -5.2, y) * smoothstep(-10, -8, y) * (z > 6)

    blush = np.exp(-(((across - 5.0) / 1.9) ** 2 + ((y + 0.2) / 1.7) ** 2)) * (z > 4)
    nose = np.exp(-((x / 1.7) ** 2 + ((y - 0.3) / 1.6) ** 2)) * smoothstep(10.5, 12.5, z)
    ear = smoothstep(7.2, 7.8, across) * (y > -3) * (y < 6)
    to_eye = np.hypot((across - 3.15) / 2.3, (y - 3.55) / 1.35)
    forehead = smoothstep(5.8, 8.0, y) * smoothstep(2.0, 6.0, z)

    def on(region: NDArray[np.bool_], values: NDArray[np.floating]) -> Floats:
        return np.where(region, values, 0.0).astype(np.float32)

    scalp = _above_hairline(x, y, z)
    return SkinMasks(
        lip=lip,
        blush=on(face, blush),
        red=on(face, np.clip(0.9 * nose + 0.8 * ear, 0, 1)),
        eyelid=on(face & (z > 7), np.exp(-0.9 * np.clip(to_eye, 0, 9) ** 2)),
        nostril=on(face & (z > 9.5), np.exp(-(((across - 0.75) / 0.55) ** 2 + ((y + 1.15) / 0.38) ** 2))),
        forehead=on(face, forehead),
        scalp=np.where(skin, scalp, -9.0).astype(np.float32),
        beard=on(skin, beard),
        moustache=on(face, moustache * off_lips),
        chin=on(face, chin * off_lips),
        face=on(face, _face_area(kit, scalp)),
        head_weight=smoothstep(-15.0, -8.0, y).astype(np.float32),
    )


def _lip_distance(kit: FaceKit) -> Floats:
    """Signed distance to the lips in units, measured in the frontal plane (positive inside)."""
    outline = smooth_closed(kit.neutral[kit.landmarks68[48:60], :2], 12)
    x, y, z = kit.neutral.T
    near = kit.vertices_in("face") & (np.abs(x) < 4.5) & (y > -8.0) & (y < 0.5) & (z > 6.0)
    distance = np.full(len(kit.neutral), -9.0, np.float32)
    distance[near] = signed_distance(kit.neutral[near, :2], outline)
    return distance


def _above_hairline(x: Floats, y: Floats, z: Floats) -> NDArray[np.floating]:
    across = np.abs(x)
    angle = np.degrees(np.arctan2(across, z - 1.0))
    height = y - np.interp(angle, _HAIRLINE_ANGLES, _HAIRLINE_HEIGHTS)
    ear = (across > 7.35) & (y < 5.2) & (y > -3) & (z > -2.5) & (z < 5)
    return np.where(ear, -2.0, height)


def _face_area(kit: FaceKit, scalp: NDArray[np.floating]) -> NDArray[np.floating]:
    """1 inside the jaw line and below the hairline, fading over about half a unit."""
    x, y, z = kit.neutral.T
    across = np.abs(x)
    contour = kit.neutral[kit.landmarks68[:17]]
    half = contour[8:][np.argsort(contour[8:, 0])]
    jaw_height = np.interp(across, half[:, 0], half[:, 1])
    # Under the chin the surface turns down and back: leave it out by depth as well.
    jaw_depth = np.interp(across, half[:, 0], half[:, 2])
    above_jaw = smoothstep(-0.35, 0.15, y - jaw_height) * smoothstep(-2.2, -1.2, z - jaw_depth)
    before_ear = smoothstep(2.6, 3.4, z + 0.15 * np.maximum(0.0, y - 4.0)) * smoothstep(7.75, 7.45, across)
    below_hair = smoothstep(0.35, -0.15, scalp)
    return above_jaw * before_ear * below_hair
