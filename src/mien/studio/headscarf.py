"""A headscarf: cloth around the face, over head and neck, laid on the shoulders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.faces.linear.vectors import smoothstep, unit
from mien.studio.head_field import CENTER, HeadField
from mien.studio.headwear import Headwear
from mien.studio.headwear_meshes import ALONG, COLUMNS, ROUND, Cloth
from mien.studio.kit import FaceKit, Floats
from mien.studio.meshes import sheet, torso_section, tube

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


Field = NDArray[Any]

_CAP_ROWS: Final = 30
_BODY_HEIGHTS: Final = np.concatenate([np.linspace(4.6, -10.0, 38), np.linspace(-10.5, -17.0, 16)])
_TOP: Final = 9.9
_THROAT: Final = np.array([0.0, -8.0, 5.0])


def headscarf(headwear: Headwear, field: HeadField, marks: Floats, shoulders: float, neck: float) -> Cloth:
    """A scarf on a person.

    Args:
        headwear: the scarf.
        field: the head.
        marks: [68, 3] the kit's 68 face points on this person.
        shoulders: width factor of the shoulders.
        neck: half width of the neck.
    """
    cap = _cap(headwear, field)
    body = _body(headwear, field, cap[-1], shoulders, neck)
    points = np.concatenate([cap, body])
    opened, outline, (first, last) = _open(points, marks)
    folded = _fold(opened, headwear)
    height = folded[..., 1]
    # Darker below the chin, where the cloth hangs in the head's shade.
    throat = smoothstep(-7.0, -9.0, height) * smoothstep(-13.0, -10.5, height) * smoothstep(2, 6, folded[..., 2])
    triangles = sheet(len(folded), COLUMNS)
    rows, columns = triangles // COLUMNS, triangles % COLUMNS
    closing = (columns.max(1) - columns.min(1) > COLUMNS // 2) & (rows.min(1) >= first) & (rows.max(1) <= last)
    cloth = Cloth.of(folded, triangles[~closing], ALONG[None], height, 0.0, 1 - 0.5 * throat)
    hem = tube(outline, 0.26, closed=True)
    seam = np.concatenate([hem.points[:, :1] * 0, hem.points[:, 1:2], np.zeros((len(hem.points), 1)),
                           np.ones((len(hem.points), 1))], 1)  # fmt: skip
    return Cloth.joined([cloth, Cloth(hem.points, hem.normals, hem.triangles, seam.astype(np.float32))])


def _cap(headwear: Headwear, field: HeadField) -> Field:
    """Rows over the crown, from the top down to the height of the skull's centre: [R, COLUMNS, 3]."""
    polar = np.linspace(0.03, np.pi / 2, _CAP_ROWS)[:, None] * np.ones(COLUMNS)
    sine = np.sin(polar)
    directions = np.stack([sine * np.sin(ROUND), np.cos(polar), sine * np.cos(ROUND)], -1)
    radius = field.radius(directions.reshape(-1, 3)).reshape(polar.shape)
    behind = np.clip(-np.cos(ROUND), 0, 1)[None] ** 1.5 * sine
    clearance = 0.75 + 0.25 * sine + (0.4 + 1.1 * headwear.fit) * behind
    return CENTER + directions * (radius + clearance)[..., None]


def _body(headwear: Headwear, field: HeadField, ring: Field, shoulders: float, neck: float) -> Field:
    """Rows from there down: cloth falls from the row above unless head, neck or shoulders hold it out."""
    bend = np.abs((ROUND + np.pi) % (2 * np.pi) - np.pi)
    # Under the chin it is drawn to the throat; at the sides and behind it hangs.
    slope = np.interp(np.degrees(bend), [0, 30, 60, 100, 180], [1.5, 1.3, 0.8, 0.3, 0.32 - 0.1 * headwear.fit])
    reach = np.hypot(ring[:, 0], ring[:, 2] - CENTER[2])
    wide, deep, _ = (float(v) for v in torso_section(-15.0, shoulders, neck))
    shoulder = _oval(0.93 * wide, deep + 0.5)
    beside = smoothstep(0.35, 1.2, bend)
    rows, before = [], CENTER[1]
    for height in _BODY_HEIGHTS:
        half_width, half_depth, middle = (float(v) for v in torso_section(min(height, -10.0), shoulders, neck))
        axis = CENTER[2] + (middle - CENTER[2]) * float(smoothstep(-6.0, -12.0, height))
        reach = reach - slope * (before - height)
        if height > -8.5:
            held = _skin(field, height, axis, reach) + 0.5
            reach = np.maximum(reach, np.where(bend < 0.6, np.minimum(held, 12.0), held))
        body = _oval(half_width + 0.9, half_depth + 0.9)
        # From the jaw it hangs in a line to the shoulders.
        hanging = 7.3 + (shoulder - 7.3) * float(np.clip((-3.5 - height) / 10.0, 0.0, 1.0))
        reach = np.maximum(reach, np.where(height < -3.5, hanging * beside, 0.0))
        reach = np.maximum(reach, body if height < -9.0 else np.full(COLUMNS, neck + 0.7))
        rows.append(np.stack([reach * np.sin(ROUND), np.full(COLUMNS, height), axis + reach * np.cos(ROUND)], -1))
        before = height
    grid = np.stack(rows)
    for _ in range(2):  # cloth is smoother than what it lies on
        grid[1:-1] = 0.5 * grid[1:-1] + 0.25 * (grid[:-2] + grid[2:])
    return grid


def _oval(half_width: float, half_depth: float) -> Field:
    """Distance [COLUMNS] of an ellipse from its centre."""
    return 1 / np.sqrt((np.sin(ROUND) / half_width) ** 2 + (np.cos(ROUND) / half_depth) ** 2)


def _skin(field: HeadField, height: float, axis: float, start: Field) -> Field:
    """How far the skin lies from the vertical axis at a height, for all columns (ears bulge a little)."""
    reach = start.copy()
    for _ in range(6):
        offset = np.stack(
            [reach * np.sin(ROUND), np.full(COLUMNS, height), axis + reach * np.cos(ROUND)], -1
        ) - CENTER.astype(float)
        distance = np.linalg.norm(offset, axis=1)
        reach = reach * (0.3 + 0.7 * field.radius(unit(offset)) / distance)
    ear = np.exp(-(((np.abs(np.sin(ROUND)) - 1) / 0.12) ** 2)) * float(
        smoothstep(-4, 0, height) * smoothstep(4.8, 1.8, height)
    )
    return reach + 0.45 * ear


def _half_width(height: Field, marks: Floats) -> Field:
    """Half width of the opening around the face at heights: between brow and hairline, cheeks, under the chin."""
    chin, cheek = float(marks[8, 1]) - 0.7, float(np.abs(marks[[2, 14], 0]).mean()) - 0.75
    share = (height - chin) / (_TOP - chin)
    return cheek * np.interp(
        share, [0, 0.02, 0.06, 0.14, 0.25, 0.4, 0.55, 0.72, 0.84, 0.92, 0.97, 1.0],
        [0, 0.34, 0.52, 0.72, 0.88, 0.97, 1.0, 0.98, 0.9, 0.74, 0.5, 0.0], left=0.0, right=0.0,
    )  # fmt: skip


def _open(points: Field, marks: Floats) -> tuple[Field, Field, tuple[int, int]]:
    """Draw the columns of each row aside from the face.

    Returns:
        The points, the outline of the opening [K, 3], and its first and last row.
    """
    opened, left, right, open_rows = points.copy(), [], [], []
    turn = np.concatenate([ROUND, [2 * np.pi]])
    for row in range(len(points)):
        ring = np.concatenate([points[row], points[row, :1]])

        def at(angle: ArrayLike, ring: Field = ring) -> Field:
            wrapped = np.asarray(angle) % (2 * np.pi)
            return np.stack([np.interp(wrapped, turn, ring[:, k]) for k in range(3)], -1)

        edge = 0.0
        for _ in range(12):
            place = at(edge)
            depth = max(np.hypot(place[0], place[2] - CENTER[2]), 1e-6)
            wanted = float(np.arcsin(min(float(_half_width(place[1], marks)) / depth, 0.95)))
            edge = 0.5 * edge + 0.5 * wanted
        if edge < 0.04 or points[row, 0, 2] < CENTER[2]:
            continue
        # The first column lies on one edge, the last one on the other; columns far from the face stay where they are.
        half = np.pi * np.arange(COLUMNS // 2) / (COLUMNS // 2 - 0.5)
        half = half + edge * (1 - half / np.pi) ** 3.5
        angles = np.concatenate([half, 2 * np.pi - half[::-1]])
        open_rows.append(row)
        opened[row] = at(angles)
        left.append(opened[row, 0])
        right.append(opened[row, -1])
    return opened, np.array(left + right[::-1]), (open_rows[0], open_rows[-1])


def _fold(points: Field, headwear: Headwear) -> Field:
    """Folds that gather under the chin and run around the neck and over the head."""
    offset = points - _THROAT
    angle = np.arctan2(offset[..., 1], -offset[..., 2] + 6.0)
    far = np.linalg.norm(offset, axis=-1)
    wave = np.sin(13 * angle + 2.5 * headwear.tilt + 0.25 * far + 0.6 * np.sin(3 * ROUND)[None])
    low = smoothstep(-4.0, -9.0, points[..., 1])
    amount = (0.06 + 0.42 * low) * smoothstep(1.0, 4.0, far)
    middle = np.array([0.0, 0.0, CENTER[2]])
    outward = unit((points - middle) * np.array([1.0, 0.35, 1.0]))
    return points + outward * (amount * wave)[..., None]


def tuck_ears(kit: FaceKit, field: HeadField, points: Floats) -> Floats:
    """Vertices [V, 3] with the ears laid against the head, as under a scarf."""
    x, y, z = kit.neutral.T
    ear = (np.abs(x) > 6.9) & (y < 6.0) & (y > -4.0) & (z > -4.0) & (z < 5.0) & kit.vertices_in("face", "head")
    offset = points[ear] - CENTER
    distance = np.linalg.norm(offset, axis=1)
    wanted = np.minimum(distance, field.radius(offset / distance[:, None]) + 0.1)
    tucked = points.copy()
    tucked[ear] = CENTER + offset * (wanted / distance)[:, None]
    return tucked
