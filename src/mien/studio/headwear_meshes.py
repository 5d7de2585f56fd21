"""The geometry of headwear, fitted to a person's head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.faces.linear.vectors import smoothstep, unit
from mien.studio.head_field import CENTER, HeadField
from mien.studio.headwear import Headwear
from mien.studio.kit import Floats, Ints
from mien.studio.meshes import sheet, vertex_normals

Field = NDArray[Any]

COLUMNS: Final = 72
ROUND: Final = np.arange(COLUMNS) / COLUMNS * 2 * np.pi
"""Angles around the head of the columns of a mesh; 0 in front, growing towards the subject's left."""
ALONG: Final = 9.0 * np.minimum(ROUND, 2 * np.pi - ROUND)
"""Position along the weave in units at each column, the same on both sides."""

_DEGREES: Final = (0, 35, 60, 90, 130, 180)
# Height of the lower edge in units over the angle around the head; ears end at about 5.4.
EDGES: Final[dict[str, tuple[float, ...]]] = {
    "beanie": (8.9, 8.5, 7.4, 5.5, 2.6, 1.4),
    "cap": (9.0, 8.9, 8.1, 6.4, 4.6, 3.8),
    "hat": (9.3, 9.1, 8.3, 6.7, 5.6, 5.2),
    "head wrap": (9.4, 8.9, 7.3, 5.2, 1.4, -0.6),
}


@dataclass(frozen=True, eq=False)
class Cloth:
    """A sheet of headwear.

    Attributes:
        points, normals: [N, 3].
        triangles: [M, 3].
        weave: [N, 4] position along and across the weave in units, zone (0 first colour, 1 second), light 0..1.
    """

    points: Floats
    normals: Floats
    triangles: Ints
    weave: Floats

    @classmethod
    def of(
        cls, points: Field, triangles: Ints, u: Field, v: Field, zone: Field | float = 0.0, light: Field | float = 1.0
    ) -> Cloth:
        """A sheet with normals that follow from its shape; ``points`` [..., 3], the others [...] or plain numbers."""
        flat = points.reshape(-1, 3)
        columns = [np.broadcast_to(values, points.shape[:-1]).reshape(-1) for values in (u, v, zone, light)]
        normals = vertex_normals(flat, triangles)
        if (normals * (flat - flat.mean(0))).sum() < 0.0:  # they point outwards
            normals = -normals
        return cls(
            flat.astype(np.float32), normals.astype(np.float32), triangles, np.stack(columns, 1).astype(np.float32)
        )

    @classmethod
    def joined(cls, parts: list[Cloth]) -> Cloth:
        """One sheet of several."""
        starts = np.cumsum([0, *(len(part.points) for part in parts[:-1])])
        return cls(
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.normals for part in parts]),
            np.concatenate([part.triangles + np.int32(start) for part, start in zip(parts, starts, strict=True)]),
            np.concatenate([part.weave for part in parts]),
        )


def edge_height(kind: str, around: Field) -> Field:
    """Height of the lower edge of a hat at angles [N] around the head."""
    degrees = np.abs(np.degrees((around + np.pi) % (2 * np.pi) - np.pi))
    return np.interp(degrees, _DEGREES, EDGES[kind])


def _directions(polar: Field, around: Field) -> Field:
    sine = np.sin(polar)
    return np.stack([sine * np.sin(around), np.cos(polar) * np.ones_like(around), sine * np.cos(around)], -1)


def edge_angle(field: HeadField, kind: str) -> Field:
    """Polar angle [COLUMNS] from straight up at which the lower edge lies on the skin."""
    height, polar = edge_height(kind, ROUND) - CENTER[1], np.full(COLUMNS, 1.2)
    for _ in range(8):
        polar = np.arccos(np.clip(height / field.radius(_directions(polar, ROUND)), -0.95, 0.95))
    return polar


def dome(field: HeadField, kind: str, shares: Field, clearance: Field) -> tuple[Field, Field]:
    """A shell over the skull.

    Args:
        field: the head.
        kind: whose edge it has.
        shares: [R] 0 at the edge, 1 at the crown.
        clearance: [R, COLUMNS] distance from the skin.

    Returns:
        Points [R, COLUMNS, 3] and the direction [R, COLUMNS, 3] in which each lies from the skull's centre.
    """
    polar = edge_angle(field, kind)[None] * (1 - shares[:, None])
    directions = _directions(polar, np.broadcast_to(ROUND, polar.shape))
    radius = field.radius(directions.reshape(-1, 3)).reshape(polar.shape)
    return CENTER + directions * (radius + clearance)[..., None], directions


def wear(headwear: Headwear, field: HeadField) -> Cloth:
    """A hat or wrap on a head; a headscarf also needs the body, see `mien.studio.headscarf`."""
    return {"beanie": _beanie, "cap": _cap, "hat": _hat, "head wrap": _wrap}[headwear.kind](headwear, field)


def _beanie(headwear: Headwear, field: HeadField) -> Cloth:
    """A folded cuff and a knitted crown with some slack."""
    shares = np.array([0.02, 0.0, 0.0, 0.13, 0.26, 0.29, 0.29, 0.36, 0.46, 0.57, 0.68, 0.78, 0.87, 0.94, 0.98, 1.0])
    cuff = np.array([0.2, 0.35, 0.8, 1.05, 1.05, 0.95, 0.72, 0.78, 0.8, 0.85, 0.85, 0.85, 0.85, 0.85, 0.85, 0.85])
    points, _ = dome(field, "beanie", shares, np.broadcast_to(cuff[:, None], (len(shares), COLUMNS)))
    slack = smoothstep(0.3, 1.0, shares)[:, None]
    points[..., 1] += (0.2 + 1.5 * headwear.fit) * slack
    points[..., 2] -= 1.2 * headwear.fit * slack
    points[..., 0] += 0.6 * headwear.tilt * headwear.fit * slack
    zone = (shares < 0.275)[:, None] * (headwear.pattern != "plain")
    light = np.where(np.arange(len(shares)) == 6, 0.35, 1.0)[:, None]
    return Cloth.of(points, sheet(len(shares), COLUMNS), ALONG[None], 13 * shares[:, None], zone, light)


def _cap(headwear: Headwear, field: HeadField) -> Cloth:
    """Six panels, high in front, a button, and a visor."""
    shares = np.array([0.03, 0.0, 0.12, 0.26, 0.4, 0.54, 0.68, 0.8, 0.9, 0.96, 1.0])
    front = np.clip(np.cos(ROUND), 0, 1) ** 0.8
    high = np.interp(shares, [0, 0.25, 0.6, 1], [0.0, 0.35, 0.7 + 0.6 * headwear.fit, 0.15])
    clearance = np.interp(shares, [0, 0.03, 0.4, 1], [0.45, 0.55, 0.8, 0.55])[:, None] + high[:, None] * front[None]
    points, _ = dome(field, "cap", shares, clearance)
    crown = Cloth.of(points, sheet(len(shares), COLUMNS), ALONG[None], 13 * shares[:, None])
    top = points[-1].mean(0)
    sides = np.concatenate([np.linspace(0, 1, 9), np.linspace(1, 0, 9)])  # above, then back below
    across, along = np.meshgrid(np.linspace(-1, 1, 25), sides, indexing="ij")
    angle = np.radians(64) * across
    edge = np.stack([np.interp(angle % (2 * np.pi), [*ROUND, 2 * np.pi], [*points[1, :, k], points[1, 0, k]])
                     for k in range(3)], -1)  # fmt: skip
    reach = along * (5.6 + 1.2 * headwear.fit) * np.clip(1 - np.abs(across) ** 2.6, 0, 1) ** 0.6
    visor = edge + reach[..., None] * np.array([0.0, -0.34, 1.0])
    visor[..., 0] *= 1 + 0.05 * along
    visor[..., 1] += 0.25 - 0.03 * edge[..., 0] ** 2 * along
    visor[:, 9:, 1] -= 0.28
    light = np.where(np.arange(18) < 9, 1.0, 0.55)
    zone = float(headwear.tilt > 0.4)
    brim = Cloth.of(visor, sheet(25, 18, around=False), visor[..., 0], visor[..., 2], zone, light)
    return Cloth.joined([crown, brim, _ball(top + np.array([0, 0.1, 0]), np.array([0.5, 0.3, 0.5]))])


def _hat(headwear: Headwear, field: HeadField) -> Cloth:
    """A stiff crown with a band, dented on top, and a brim all around."""
    base, _ = dome(field, "hat", np.zeros(1), np.full((1, COLUMNS), 0.55))
    base, middle = base[0], np.array([0.0, 0.0, base[0, :, 2].mean()])
    height = 14.2 + 0.9 * headwear.fit
    steps = np.array([0.0, 0.1, 0.24, 0.26, 0.5, 0.75, 0.92, 1.0, 1.0, 1.0, 1.0])
    widths = np.array([1.0, 0.99, 0.97, 0.95, 0.92, 0.88, 0.84, 0.74, 0.5, 0.25, 0.0])
    around = base - middle
    points = np.empty((len(steps), COLUMNS, 3))
    points[..., 0] = widths[:, None] * around[None, :, 0]
    points[..., 2] = middle[2] + widths[:, None] * around[None, :, 2]
    points[..., 1] = base[None, :, 1] * (1 - steps[:, None]) + height * steps[:, None]
    dent = smoothstep(0.78, 0.2, widths)[:, None] * np.exp(-((points[..., 0] / 2.6) ** 2))
    points[..., 1] -= 1.3 * dent + 0.5 * smoothstep(4, 9, points[..., 2]) * smoothstep(0.9, 1.0, steps)[:, None]
    zone = ((steps > 0.0) & (steps < 0.25))[:, None] * np.ones(COLUMNS)
    crown = Cloth.of(points, sheet(len(steps), COLUMNS), ALONG[None], points[..., 1], zone)
    reach = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0])
    outward = unit(around * np.array([1, 0, 1]))
    width = 3.6 + 1.8 * headwear.fit
    brim = base[None] + width * reach[:, None, None] * outward[None]
    curl = -0.1 + 0.22 * np.abs(np.sin(ROUND)) ** 2 - 0.16 * np.cos(ROUND) ** 2
    brim[..., 1] += width * reach[:, None] ** 1.5 * curl[None] - 0.24 * (np.arange(10) > 4)[:, None]
    light = np.where(np.arange(10) > 4, 0.55, 1.0)[:, None]
    flat = Cloth.of(brim, sheet(10, COLUMNS), ALONG[None], reach[:, None] * width, 0.0, light)
    return Cloth.joined([crown, flat])


def _wrap(headwear: Headwear, field: HeadField) -> Cloth:
    """Cloth wound around the head in layers that cross in front, with a knot or a tuck."""
    rows = 34
    shares = np.concatenate([[0.02], np.linspace(0.0, 1.0, rows - 1) ** 0.9])
    # Layers rise towards the middle of the forehead, where they cross.
    bend = (ROUND + np.pi) % (2 * np.pi) - np.pi
    layer = 6.0 * shares[:, None] - 0.9 * np.abs(bend)[None] * (1 - shares[:, None]) + 0.5 * np.sign(bend + 0.01)[None]
    fold = np.abs((layer % 1.0) - 0.35) / 0.65
    bulk = (1.0 + 1.1 * headwear.fit) * np.sin(np.pi * np.clip(0.12 + 0.8 * shares, 0, 1))[:, None]
    clearance = 0.5 + bulk + 0.5 * (1 - fold) * smoothstep(1.0, 0.75, shares)[:, None]
    clearance[0] = 0.1
    points, _ = dome(field, "head wrap", shares, clearance)
    rise = smoothstep(0.2, 1.0, shares)[:, None]
    points[..., 1] += (0.3 + 1.2 * headwear.fit) * rise
    points[..., 2] -= 0.8 * headwear.fit * rise
    light = 1 - 0.45 * smoothstep(0.6, 1.0, fold)
    parts = [Cloth.of(points, sheet(rows, COLUMNS), ALONG[None], 3 * layer, 0.0, light)]
    if headwear.tilt > 0.0:
        front = points[rows // 3, 0] + np.array([0.0, 0.3, 0.1])
        parts += [
            _ball(front, np.array([1.1, 1.2, 0.9])),
            _ball(front + np.array([1.7, 0.5, -0.3]), np.array([1.5, 0.9, 0.6]), 0.5),
            _ball(front + np.array([-1.7, 0.5, -0.3]), np.array([1.5, 0.9, 0.6]), -0.5),
        ]
    return Cloth.joined(parts)


def _ball(center: Field, radii: Field, turn: float = 0.0) -> Cloth:
    """An ellipsoid, turned in the picture's plane."""
    polar, around = np.meshgrid(np.linspace(0.02, np.pi - 0.02, 9), np.arange(14) / 14 * 2 * np.pi, indexing="ij")
    local = _directions(polar, around) * radii
    cosine, sine = np.cos(turn), np.sin(turn)
    x, y = local[..., 0] * cosine - local[..., 1] * sine, local[..., 0] * sine + local[..., 1] * cosine
    points = center + np.stack([x, y, local[..., 2]], -1)
    return Cloth.of(points, sheet(9, 14)[:, ::-1].copy(), 3 * around, 3 * polar)
