"""The geometry of one person, made once and used for all their pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mien.studio.hair import groom
from mien.studio.kit import FaceKit, Floats, Ints
from mien.studio.masks import SkinMasks
from mien.studio.meshes import Mesh, torso
from mien.studio.person import Person
from mien.studio.strands import Fuzz, Strands, grow_beard, grow_brows

EYES: Final = ("l", "r")
"""Order of the eyes in all arrays: the subject's left (x > 0), then right."""


@dataclass(frozen=True, eq=False)
class EyeModel:
    """The kit's left eyeball about its centre: ``points``, ``directions`` and ``normals`` [N, 3], ``triangles``."""

    center: Floats
    points: Floats
    directions: Floats
    normals: Floats
    triangles: Ints

    @classmethod
    def of(cls, kit: FaceKit) -> EyeModel:
        """Fit a sphere to the back of the sclera (the cornea bulges) and centre the mesh on it."""
        members = np.nonzero(kit.vertices_in("sclera_l"))[0]
        points = kit.neutral[members]
        back = points[points[:, 2] < points[:, 2].max() - 1.2]
        system = np.c_[2 * back, np.ones(len(back))]
        center = np.linalg.lstsq(system, (back**2).sum(1), rcond=None)[0][:3].astype(np.float32)
        local = points - center
        index = np.full(len(kit.neutral), -1)
        index[members] = np.arange(len(members))
        triangles = index[kit.mesh_triangles[slice(*kit.groups["sclera_l"])]]
        a, b, c = (local[triangles[:, k]] for k in range(3))
        faces = np.cross(b - a, c - a)
        normals = np.zeros_like(local)
        for k in range(3):
            np.add.at(normals, triangles[:, k], faces)
        directions = local / np.linalg.norm(local, axis=1, keepdims=True)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
        normals *= np.sign((normals * local).sum(1).mean())
        return cls(center, local, directions, normals, triangles.astype(np.int32))


@dataclass(frozen=True, eq=False)
class PersonGeometry:
    """A person's neutral head and what grows on it.

    Attributes:
        points, normals: [V, 3] neutral head.
        eye_centers: [2, 3] rest positions of the eyeballs (order ``EYES``); ``eye_sizes``: [2] factors.
        hair: strands or None.
        brows: eyebrows.
        torso: shoulders.
        neck: half width of the neck.
    """

    person: Person
    points: Floats
    normals: Floats
    eye_centers: Floats
    eye_sizes: tuple[float, float]
    hair: Strands | None
    brows: Fuzz
    torso: Mesh
    neck: float


def build_geometry(kit: FaceKit, masks: SkinMasks, eye: EyeModel, person: Person, detail: float) -> PersonGeometry:
    """Everything that all pictures of ``person`` share; ``detail`` 1 is full hair."""
    rng = np.random.default_rng([person.seed, 0x68616972])
    points = kit.shape(person.shape)
    normals = kit.normals(points)
    neck = _neck_half_width(kit, points)
    centers, sizes = [], []
    for side in EYES:
        members = kit.vertices_in(f"sclera_{side}")
        mine, neutral = points[members], kit.neutral[members]
        mirror = np.array([1.0 if side == "l" else -1.0, 1.0, 1.0], np.float32)
        centers.append(mine.mean(0) - (neutral.mean(0) - eye.center * mirror))
        spread = [float(np.linalg.norm(p - p.mean(0), axis=1).mean()) for p in (mine, neutral)]
        sizes.append(spread[0] / spread[1])
    return PersonGeometry(
        person=person,
        points=points,
        normals=normals,
        eye_centers=np.stack(centers),
        eye_sizes=(sizes[0], sizes[1]),
        hair=groom(kit, rng, person, points, normals, masks, neck, detail),
        brows=grow_brows(kit, rng, person.brows, points, max(detail, 0.6)),
        torso=torso(person.shoulders, neck + 0.1),
        neck=neck,
    )


def build_beard(kit: FaceKit, masks: SkinMasks, geometry: PersonGeometry, kind: str, detail: float) -> Fuzz | None:
    """A beard of the given kind on a person (the same hairs in every picture)."""
    rng = np.random.default_rng([geometry.person.seed, 0x62656172])
    return grow_beard(kit, rng, geometry.person, kind, masks, geometry.normals, detail)


def _neck_half_width(kit: FaceKit, points: Floats) -> float:
    ring = kit.vertices_in("face", "head") & (np.abs(kit.neutral[:, 1] + 11.0) < 1)
    return float(np.abs(points[ring, 0]).max())
