"""Strands of hair as camera-facing ribbons, and the short hairs of brows and beards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mien.faces.linear.vectors import smoothstep, unit
from mien.studio.kit import FaceKit, Floats, Ints
from mien.studio.masks import SkinMasks
from mien.studio.person import Brows, Person
from mien.studio.roots import Roots, brow_points, locate, scatter

RIBBON_FLOATS = 13
"""Floats a ribbon vertex: position 3, tangent 3, (side, along, width, chance) 4, normal 3."""


@dataclass(frozen=True, eq=False)
class Strands:
    """``points`` [N, S, 3] along each strand, ``widths`` [N], outward ``normals`` [N, S, 3], ``chance`` [N] 0..1.

    ``rope``: bumps along each strand where it is a rope of many hairs (a loc, a braid), else 0.
    ``frayed``: whether each strand stands for several hairs that part towards the ends.
    """

    points: Floats
    widths: Floats
    normals: Floats
    chance: Floats
    rope: float = 0.0
    frayed: bool = False


def ribbons(strands: Strands, taper: float = 0.25) -> Floats:
    """Vertices [N * S * 2, ``RIBBON_FLOATS``] of the ribbons; the widths fall to ``taper`` towards the tips."""
    count, steps, _ = strands.points.shape
    along = np.linspace(0, 1, steps, dtype=np.float32)
    width = strands.widths[:, None] * (1 - (1 - taper) * along**2)[None]
    width[:, -1] *= 0.7 if strands.frayed else 0.3
    out = np.empty((count, steps, 2, RIBBON_FLOATS), np.float32)
    out[..., 0:3] = strands.points[:, :, None]
    out[:, 1:-1, :, 3:6] = (strands.points[:, 2:] - strands.points[:, :-2])[:, :, None]
    out[:, 0, :, 3:6] = (strands.points[:, 1] - strands.points[:, 0])[:, None]
    out[:, -1, :, 3:6] = (strands.points[:, -1] - strands.points[:, -2])[:, None]
    out[:, :, 0, 6], out[:, :, 1, 6] = -1, 1
    out[..., 7] = along[None, :, None]
    out[..., 8] = width[:, :, None]
    out[..., 9] = strands.chance[:, None, None]
    out[..., 10:13] = strands.normals[:, :, None]
    return out.reshape(-1, RIBBON_FLOATS)


@lru_cache(maxsize=32)
def ribbon_triangles(count: int, steps: int) -> Ints:
    """Triangles [N * (S - 1) * 2, 3] that go with ``ribbons``."""
    base = (np.arange(count)[:, None] * steps + np.arange(steps - 1)[None]) * 2
    quads = np.stack([base, base + 1, base + 2, base + 1, base + 3, base + 2], -1)
    return quads.reshape(-1, 3).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Fuzz:
    """Short hairs that ride on the moving skin: roots, directions [N, 3] and lengths [N] at rest."""

    roots: Roots
    directions: Floats
    lengths: Floats
    chance: Floats
    width: float
    gravity: float

    def strands(self, points: Floats, normals: Floats, segments: int = 3) -> Strands:
        """The hairs on a face with the given vertices and normals [V, 3]."""
        root, outward = self.roots.on(points), self.roots.normals(normals)
        t = np.linspace(0, 1, segments + 1, dtype=np.float32)[None, :, None]
        # Never into the skin: remove the inward part of the direction.
        inward = np.minimum((self.directions * outward).sum(1, keepdims=True), 0)
        direction = unit(self.directions - outward * inward)
        length = self.lengths[:, None, None]
        lift = outward[:, None] * (0.03 + 0.10 * np.sin(2.2 * t)) * np.minimum(1, length)
        path = root[:, None] + direction[:, None] * t * length + lift
        path[..., 1] -= self.gravity * t[..., 0] ** 2 * self.lengths[:, None]
        return Strands(
            path.astype(np.float32),
            (self.width * (0.7 + 0.6 * self.chance)).astype(np.float32),
            np.broadcast_to(outward[:, None], path.shape),
            self.chance,
        )


def grow_brows(kit: FaceKit, rng: np.random.Generator, brows: Brows, points: Floats, detail: float) -> Fuzz:
    """Eyebrows on a person's neutral face ``points`` [V, 3]."""
    count = max(60, int(brows.hairs * detail))
    uvs, aims, lengths = [], [], []
    for uv, along, across, outwards in brow_points(kit, rng, brows, count):
        slope = np.interp(along, [0, 0.25, 1], [0.75, 0.3, -0.3])
        step = np.stack([np.full(count, 0.012 * outwards), 0.010 * slope - 0.005 * across], 1)
        uvs.append(uv)
        aims.append(uv + step)
        lengths.append(np.interp(along, [0, 0.2, 1], [0.55, 0.68, 0.5]) * rng.uniform(0.7, 1.2, count))
    roots, ahead = locate(kit, np.concatenate(uvs)), locate(kit, np.concatenate(aims))
    direction = unit(ahead.on(points) - roots.on(points))
    chance = rng.random(2 * count).astype(np.float32)
    width = 0.055 / detail**0.75
    return Fuzz(roots, direction.astype(np.float32), np.concatenate(lengths).astype(np.float32), chance, width, 0.0)


_BEARD_HAIRS = {"full beard": 2600, "short beard": 2200, "goatee": 1000, "moustache": 520}


def grow_beard(
    kit: FaceKit, rng: np.random.Generator, person: Person, kind: str, masks: SkinMasks, normals: Floats, detail: float
) -> Fuzz | None:
    """The hairs of a beard on a person's neutral face; None for "none" and "stubble".

    Hairs near the lips are short and point away from the mouth, so that an open mouth stays free.
    """
    if kind not in _BEARD_HAIRS:
        return None
    area = {
        "full beard": masks.beard,
        "short beard": masks.beard,
        "goatee": np.maximum(masks.chin, masks.moustache),
        "moustache": masks.moustache,
    }[kind]
    count = int(_BEARD_HAIRS[kind] * detail)
    roots = scatter(kit, rng, np.clip(1.3 * area - 0.15, 0, 1), count)
    outward, home = roots.normals(normals), roots.on(kit.neutral)
    x, y, z = home.T
    from_lip = np.maximum(-roots.on(masks.lip[:, None])[:, 0], 0.05)
    above = y > -3.35
    mouth = (np.abs(x) < 4.2) & (z > 7.0) & (y > -6.5)
    away = np.stack([np.sign(x) * np.abs(x) ** 0.7, np.where(above, 0.35, -1.2), np.zeros_like(x)], 1)
    direction = 0.35 * outward + np.array([0.0, -0.9, 0.0])
    direction[mouth & above] = (0.5 * outward + np.array([0.0, -0.45, 0.0]) + 0.45 * away)[mouth & above]
    direction[mouth & ~above] = (0.3 * outward + 0.8 * unit(away))[mouth & ~above]
    length = {
        "full beard": 1.1 + 1.4 * person.beard_length,
        "short beard": 0.6,
        "goatee": 0.7 + 1.0 * person.beard_length,
        "moustache": 0.75,
    }[kind]
    lengths = length * rng.uniform(0.6, 1.2, count) * np.where(np.abs(x) > 4.5, 0.5, 1.0)
    lengths = np.where(mouth & above, np.minimum(lengths, 0.25 + 0.55 * from_lip), lengths)
    lengths *= np.where(mouth & ~above, 0.45 + 0.55 * smoothstep(0.1, 1.3, from_lip), 1.0)
    chance = rng.random(count).astype(np.float32)
    return Fuzz(
        roots, unit(direction).astype(np.float32), lengths.astype(np.float32), chance, 0.075 / detail**0.6, 0.22
    )
