"""Headwear on one person: how it follows the face, and the hair that shows under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.core.optional import require
from mien.faces.linear.vectors import smoothstep
from mien.studio.geometry import PersonGeometry
from mien.studio.head_field import CENTER, HeadField
from mien.studio.headscarf import headscarf, tuck_ears
from mien.studio.headwear import HIDES_HAIR, Headwear
from mien.studio.headwear_meshes import Cloth, edge_height, wear
from mien.studio.kit import FaceKit, Floats, Ints
from mien.studio.strands import Strands


@dataclass(frozen=True, eq=False)
class Worn:
    """Headwear fitted to a person.

    Attributes:
        cloth: the sheets, at rest.
        hair: strands that show under it, or None.
        nearest: [N] the face vertex next to each vertex of the cloth; ``share`` [N] how much it moves with that, 0..1.
        head: head vertices [V, 3] at rest where the cloth moves them (ears under a scarf), or None.
    """

    cloth: Cloth
    hair: Strands | None
    nearest: Ints
    share: Floats
    head: Floats | None

    def points(self, offsets: Floats) -> Floats:
        """Vertices [N, 3] of the cloth on a face that an expression moves by ``offsets`` [V, 3]."""
        return (self.cloth.points + self.share[:, None] * offsets[self.nearest]).astype(np.float32)


def dress(kit: FaceKit, geometry: PersonGeometry, headwear: Headwear) -> Worn:
    """Fit headwear to a person."""
    spatial = require("scipy.spatial", extra="studio")
    field = HeadField(kit, geometry.points)
    scarf = headwear.kind == "headscarf"
    if scarf:
        marks = geometry.points[kit.landmarks68]
        cloth = headscarf(headwear, field, marks, geometry.person.shoulders, geometry.neck)
    else:
        cloth = wear(headwear, field)
    face = np.nonzero(kit.vertices_in("face") & (kit.neutral[:, 2] > 0.0) & (kit.neutral[:, 1] > -12.0))[0]
    distance, found = spatial.cKDTree(geometry.points[face]).query(cloth.points)
    hidden = headwear.kind in HIDES_HAIR or geometry.hair is None
    return Worn(
        cloth=cloth,
        hair=None if hidden or geometry.hair is None else press(geometry.hair, field, headwear.kind),
        nearest=face[found].astype(np.int32),
        share=smoothstep(4.0, 0.6, distance).astype(np.float32),
        head=tuck_ears(kit, field, geometry.points) if scarf else None,
    )


def press(hair: Strands, field: HeadField, kind: str) -> Strands | None:
    """Hair under a hat: flat below the cloth, free below its edge; strands that lie wholly inside are left out."""
    count, steps, _ = hair.points.shape
    points = hair.points.reshape(-1, 3).astype(np.float64)
    offset = points - CENTER
    distance = np.linalg.norm(offset, axis=1)
    directions = offset / (distance[:, None] + 1e-6)
    below = edge_height(kind, np.arctan2(offset[:, 0], offset[:, 2])) - points[:, 1]
    flat = 0.5 * smoothstep(-0.8, 0.3, below) - 0.35
    room = field.radius(directions) + flat + 1.1 * np.clip(below - 0.1, 0.0, None)
    pressed = np.where((points[:, 1] > -6.0) & (distance > room), room, distance)
    moved = (CENTER + directions * pressed[:, None]).reshape(count, steps, 3).astype(np.float32)
    shown = (below.reshape(count, steps) > -0.6).any(1)
    if not shown.any():
        return None
    return Strands(moved[shown], hair.widths[shown], hair.normals[shown], hair.chance[shown], hair.rope, hair.frayed)
