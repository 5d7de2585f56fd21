"""Plain triangle meshes: the torso and the glasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.core.optional import require
from mien.faces.linear.vectors import Array, smoothstep, unit
from mien.studio.kit import Floats, Ints
from mien.studio.scene import GLASSES, Glasses


@dataclass(frozen=True, eq=False)
class Mesh:
    """``points`` and ``normals`` [N, 3], ``triangles`` [M, 3], baked ``light`` [N] (1 open, 0 hidden)."""

    points: Floats
    normals: Floats
    triangles: Ints
    light: Floats

    @classmethod
    def joined(cls, parts: list[Mesh]) -> Mesh:
        """One mesh of several."""
        starts = np.cumsum([0, *(len(part.points) for part in parts[:-1])])
        return cls(
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.normals for part in parts]),
            np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=True)]),
            np.concatenate([part.light for part in parts]),
        )


_HEIGHTS = np.array([-40, -30, -23, -19, -16.5, -15, -14, -13, -12, -11, -10.0])
_HALF_WIDTHS = np.array([20, 20.5, 20.3, 19.2, 16.8, 14.4, 12.5, 10.4, 8.3, 6.4, 5.0])
_HALF_DEPTHS = np.array([11, 11, 10.0, 8.6, 7.2, 6.5, 6.2, 6.0, 5.8, 5.6, 5.0])
_CENTERS = np.array([0.5, 0.4, 0, -1.2, -2.2, -2.7, -2.5, -2.1, -1.7, -1.3, -1.0])


def torso_section(height: Any, shoulders: float, neck: float) -> tuple[Any, Any, Any]:
    """Half width, half depth and centre (z) of the body at ``height`` (y below -10).

    Args:
        height: y in units, any shape.
        shoulders: width factor of the shoulders.
        neck: half width of the neck in units.
    """
    widths = _HALF_WIDTHS * np.where(_HEIGHTS < -14, shoulders, 1.0) * (neck / 5.9) ** 0.5
    return (
        np.interp(height, _HEIGHTS, widths),
        np.interp(height, _HEIGHTS, _HALF_DEPTHS),
        np.interp(height, _HEIGHTS, _CENTERS),
    )


def torso(shoulders: float, neck: float) -> Mesh:
    """Shoulders and chest as a stack of super-ellipses."""
    interpolate = require("scipy.interpolate", extra="studio")
    rows, columns = 26, 48
    heights = np.linspace(-10.6, -26.0, rows)
    inflate = np.interp(heights, [-40, -16.5, -14, -12.5, -10.6], [0.4, 0.4, 0.1, -0.6, -2.0])
    knots = np.linspace(-40, -10, 60)
    width, depth, center = (interpolate.PchipInterpolator(knots, v) for v in torso_section(knots, shoulders, neck))
    angle = np.arange(columns) / columns * 2 * np.pi
    sine, cosine = (np.sign(f) * np.abs(f) ** 0.9 for f in (np.sin(angle), np.cos(angle)))
    x = (width(heights) + inflate)[:, None] * sine
    z = center(heights)[:, None] + (depth(heights) + inflate)[:, None] * cosine
    y = np.repeat(heights[:, None], columns, 1)
    points = np.stack([x, y, z], -1).reshape(-1, 3)
    triangles = sheet(rows, columns)
    light = smoothstep(0.0, 0.25, np.repeat(np.linspace(0, 0.55, rows), columns))
    return Mesh(
        points.astype(np.float32), vertex_normals(points, triangles).astype(np.float32), triangles,
        light.astype(np.float32),
    )  # fmt: skip


def sheet(rows: int, columns: int, closed_rows: bool = False, around: bool = True) -> Ints:
    """Triangles [M, 3] of a sheet of points [rows, columns].

    Args:
        rows: of points.
        columns: of points.
        closed_rows: whether the last row joins the first.
        around: whether the last column joins the first.
    """
    i, j = np.meshgrid(
        np.arange(rows if closed_rows else rows - 1), np.arange(columns if around else columns - 1), indexing="ij"
    )
    following, beside = (i + 1) % rows, (j + 1) % columns
    a, b, c, d = i * columns + j, i * columns + beside, following * columns + j, following * columns + beside
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]).astype(
        np.int32
    )


def vertex_normals(points: Array, triangles: Ints) -> Array:
    """Unit normals [N, 3] (area weighted) of a mesh."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for k in range(3):
        np.add.at(normals, triangles[:, k], faces)
    return unit(normals)


def tube(path: Array, radius: float, closed: bool = False, sides: int = 6) -> Mesh:
    """A round wire along ``path`` [N, 3]."""
    tangent = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    tangent = unit(tangent)
    lengthwise = np.abs(tangent[:, 2]).max() > 0.7
    u = unit(np.cross(tangent, np.array([0.0, 1.0, 0.0] if lengthwise else [0.0, 0.0, 1.0])))
    w = np.cross(tangent, u)
    angle = np.arange(sides) / sides * 2 * np.pi
    normals = u[:, None] * np.cos(angle)[:, None] + w[:, None] * np.sin(angle)[:, None]
    points = path[:, None] + radius * normals
    triangles = sheet(len(path), sides, closed_rows=closed)
    return Mesh(
        points.reshape(-1, 3).astype(np.float32), normals.reshape(-1, 3).astype(np.float32), triangles,
        np.ones(len(path) * sides, np.float32),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Spectacles:
    """A frame and its two lenses (``lens_points`` [N, 3], ``lens_triangles`` [M, 3], ``lens_shine`` [N])."""

    frame: Mesh
    lens_points: Floats
    lens_triangles: Ints
    lens_shine: Floats


def spectacles(glasses: Glasses, eyes: Array, marks: Array) -> Spectacles:
    """Fit glasses to a face.

    Args:
        glasses: style and size.
        eyes: [2, 3] eyeball centres, left eye (x > 0) then right.
        marks: [68, 3] the kit's 68 face points on this person.
    """
    half_width, half_height, exponent = GLASSES[glasses.style]
    half_width, half_height = half_width * glasses.size, half_height * glasses.size
    front = max(marks[[19, 24], 2].mean() + 0.6, marks[27, 2] + 0.2)
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    x = half_width * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / exponent)
    y = half_height * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / exponent)
    parts, rims = [], []
    for eye, side, temple in ((eyes[0], 1.0, marks[16]), (eyes[1], -1.0, marks[0])):
        lens_x = x
        if glasses.style == "aviator":  # wider above, drop-shaped below
            lens_x = x * np.where(y < 0, 1.0 - 0.12 * (y / half_height) ** 2, 1.0)
        center = np.array([eye[0] + 0.25 * side, eye[1] - 0.25])
        depth = front - 0.035 * (lens_x * side + half_width) ** 2
        rim = np.stack([center[0] + lens_x, center[1] + y * np.where(y < 0, 1.05, 0.95), depth], 1)
        rims.append(rim)
        parts.append(tube(rim, glasses.wire, closed=True))
        hinge = np.array([center[0] + side * half_width, center[1] + 0.45 * half_height, front - 0.14 * half_width**2])
        ear = np.array([side * max(abs(temple[0]) + 0.75, abs(hinge[0])), temple[1] + 1.3, temple[2] - 2.5])
        parts.append(tube(np.linspace(hinge, ear, 8), glasses.wire))
    inner = eyes[1][0] - 0.25 + half_width, eyes[0][0] + 0.25 - half_width
    t = np.linspace(0, 1, 9)
    bump = np.sin(t * np.pi)
    bridge = np.stack([inner[0] + (inner[1] - inner[0]) * t, eyes[0][1] + 0.35 + 0.35 * bump, front + 0.15 * bump], 1)
    parts.append(tube(bridge, glasses.wire))
    points, triangles, shine = [], [], []
    for index, rim in enumerate(rims):
        start, count, middle = index * (len(rim) + 1), len(rim), rim.mean(0)
        points += [middle[None], rim]
        spokes = np.arange(count)
        triangles.append(np.stack([np.full(count, start), start + 1 + spokes, start + 1 + (spokes + 1) % count], 1))
        shine += [np.array([0.3]), 0.3 + 0.7 * np.maximum(0, (rim - middle)[:, 1] / half_height)]
    return Spectacles(
        Mesh.joined(parts),
        np.concatenate(points).astype(np.float32),
        np.concatenate(triangles).astype(np.int32),
        np.concatenate(shine).astype(np.float32),
    )
