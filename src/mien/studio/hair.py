"""Grooming: strands of a hair style grown on a person's head."""

from __future__ import annotations

from typing import Final

import numpy as np

from mien.core.optional import require
from mien.faces.linear.vectors import smoothstep, unit
from mien.studio.braids import gathered_at, plaits
from mien.studio.hair_styles import DOWN, LONG, STYLES, Field, Growth, Hairs, Style, growth_of
from mien.studio.head_field import CENTER, HeadField
from mien.studio.kit import FaceKit, Floats
from mien.studio.masks import SkinMasks
from mien.studio.meshes import torso_section
from mien.studio.person import HairShape, Person
from mien.studio.roots import scatter
from mien.studio.rope_styles import ROPES
from mien.studio.strands import Strands

_OFF_FACE: Final = (*LONG, "curly", "side part")


def groom(
    kit: FaceKit,
    rng: np.random.Generator,
    person: Person,
    points: Floats,
    normals: Floats,
    masks: SkinMasks,
    neck: float,
    detail: float,
) -> Strands | None:
    """Grow a person's hair on their neutral head.

    Args:
        kit: the face kit.
        rng: source of all randomness.
        person: style and hair shape.
        points: [V, 3] neutral vertices.
        normals: [V, 3] their normals.
        masks: skin masks.
        neck: half width of the neck.
        detail: 1 for all strands, less for fewer and wider ones.

    Returns:
        The strands, or None for a bald head.
    """
    style = STYLES.get(person.hair_style)
    if style is None:
        return None
    hair, rope = person.hair_shape, ROPES.get(person.hair_style, 0.0)
    count = style.strands if rope else max(200, int(style.strands * detail))
    x, _, z = kit.neutral.T
    recession = hair.recession * smoothstep(2, 5, np.abs(x)) * smoothstep(4, 7, z)
    roots = scatter(kit, rng, np.clip((masks.scalp - hair.hairline - recession + 0.25) / 0.9, 0, 1), count)
    root, chance = roots.on(points), rng.random(count)
    side = np.where(root[:, 0] > hair.parting, 1.0, -1.0)
    side = np.where(np.abs(root[:, 0] - hair.parting) < 0.25, np.where(chance > 0.5, 1.0, -1.0), side)
    hairs = Hairs(root, roots.normals(normals), roots.on(kit.neutral), side, chance)
    head = HeadField(kit, points)
    bun = np.array([0, 10.5 * hair.bun_height, -8.5])
    tied = {"bun": bun, "plaits": gathered_at(root, hair.parting)}.get(person.hair_style)
    if tied is not None:
        path = _gather(hairs, tied, style, head, hair)
        growth = Growth(hairs.outward, np.full(count, style.length), chance, wave=hair.wave)
    else:
        growth = growth_of(person.hair_style, style, hair, rng, hairs)
        path = _comb(person, style, growth, rng, hairs, head, neck)
    path = _texture(path, rng, 0.0 if rope else hair.clump, hair.wave_frequency, growth, hairs)
    shading = _shading_normals(path)
    if person.hair_style == "bun":
        path, shading, chance = _add_bun(path, shading, chance, rng, bun, hair.bun_radius, detail)
    if person.hair_style == "plaits":
        added = plaits(rng, person.shoulders, neck, style.points, detail)
        path, shading, chance = (np.concatenate(pair) for pair in zip((path, shading, chance), added, strict=True))
    widths = style.width / (1.0 if rope else detail**0.8) * (0.7 + 0.6 * rng.random(len(path)))
    # Front to back, so that the depth test spares the hidden ones their shading.
    order = np.argsort(-path[..., 2].mean(1), kind="stable")
    path, widths, shading, chance = path[order], widths[order], shading[order], chance[order]
    return Strands(
        path.astype(np.float32), widths.astype(np.float32), shading.astype(np.float32), chance.astype(np.float32),
        rope, frayed=not rope and person.hair_style in LONG,
    )  # fmt: skip


def _comb(
    person: Person,
    style: Style,
    growth: Growth,
    rng: np.random.Generator,
    hairs: Hairs,
    head: HeadField,
    neck: float,
) -> Field:
    """Walk each strand from its root: combed near the skin, then falling, kept off the head, face and body."""
    name, hair, long = person.hair_style, person.hair_shape, person.hair_style in LONG
    flow, lift, gravity, stiffness = growth.flow, growth.lift, growth.gravity, growth.stiffness
    outward = hairs.outward
    path = np.zeros((len(hairs), style.points, 3))
    path[:, 0] = point = hairs.root
    # Short steps near the root, where hair bends most.
    shares = np.linspace(0.4, 1.6, style.points - 1) if long else np.ones(style.points - 1)
    step = growth.lengths / (style.points - 1)
    direction = unit(outward * lift + unit(flow - outward * (flow * outward).sum(1, keepdims=True)) * (1 - 0.6 * lift))
    in_front = (hairs.home[:, 2] > 3.2 + hair.lean) | (rng.random(len(hairs)) < 0.04)
    free = growth.fringe if growth.fringe is not None else np.zeros(len(hairs), bool)
    for k in range(1, style.points):
        t = k / (style.points - 1)
        around = unit(point - CENTER)
        tangent = unit(flow - around * (flow * around).sum(1, keepdims=True))
        high = smoothstep(3, 11, point[:, 1])[:, None] if long else 1.0
        keep = stiffness * (0.45 + 0.55 * high) if long else stiffness
        pull = 0.0 if name in ("afro", "buzz cut") else 0.28 * (1 - 0.6 * t) * high
        direction = unit(direction * keep + tangent * pull + DOWN * gravity * (0.25 + 1.2 * t))
        if name == "afro":
            direction = unit(direction + 0.2 * outward)
        point = point + direction * (step * shares[k - 1])[:, None]
        clearance = growth.volume * min(1.0, 3 * t) * (0.1 if name == "afro" else 1.0) + 0.08
        point = head.push_out(point, clearance)
        if name in _OFF_FACE:
            point = _part_around_face(point, hairs, hair, free, head, clearance)
        if long:
            point = _fall(point, hairs.chance, growth.volume, in_front, hair, person.shoulders, neck)
        path[:, k] = point
    if long:
        for _ in range(3):
            path[:, 1:-1] = 0.5 * path[:, 1:-1] + 0.25 * (path[:, :-2] + path[:, 2:])
    return path


def _part_around_face(
    point: Field, hairs: Hairs, hair: HairShape, free: Field, head: HeadField, clearance: Field
) -> Field:
    """Push strands in front of the face to its sides."""
    limit = np.interp(point[:, 1], [-30, -12, -6, 2, 7, 9.5, 12], [5.5, 5.6, 6.0, 6.9, 6.4, 4.2, 0.0])
    limit = limit * hair.openness + 0.8 * hairs.chance
    front = np.interp(point[:, 1], [-11, -6], [-2.5, 2.0])
    hidden = (point[:, 2] > front) & (np.abs(point[:, 0]) < limit) & ~free & (point[:, 1] < 11.5)
    toward = np.where(np.abs(point[:, 0]) < 0.5, hairs.side, np.sign(point[:, 0]))
    point[hidden, 0] = 0.5 * point[hidden, 0] + 0.5 * (limit * toward)[hidden]
    return head.push_out(point, clearance)


def _fall(
    point: Field, chance: Field, volume: Field, in_front: Field, hair: HairShape, shoulders: float, neck: float
) -> Field:
    """Long hair below the ears: drawn in towards the neck, then laid on the shoulders, in front or behind."""
    low = point[:, 1] < 9.0
    room = 7.6 + 1.0 * chance + 0.5 * hair.volume - 0.8 * smoothstep(1, -8, point[:, 1])
    excess = np.clip(np.abs(point[:, 0]) - room, 0, 4) * smoothstep(-16, -10, point[:, 1])
    inwards = np.sign(point[:, 0]) * excess * 0.75 * smoothstep(9, 4, point[:, 1])
    point[low, 0] -= inwards[low]
    below = point[:, 1] < -3.0
    if below.any():
        part = point[below]
        weight = smoothstep(-3, -12, part[:, 1])
        half_width, half_depth, center = torso_section(np.minimum(part[:, 1], -11.5), shoulders, neck)
        facing = np.where(in_front[below], 1.0, -1.0)
        depth = np.sqrt(np.clip(1 - (part[:, 0] / (half_width + 1.2)) ** 2, 0.02, 1))
        surface = center + facing * depth * (half_depth + 0.7 + 0.8 * volume[below])
        laid = np.where(facing > 0, np.maximum(part[:, 2], surface), np.minimum(part[:, 2], surface))
        part[:, 2] = part[:, 2] * (1 - weight) + laid * weight
        point[below] = part
    return point


def _gather(hairs: Hairs, bun: Field, style: Style, head: HeadField, hair: HairShape) -> Field:
    """Strands pulled over the skull to where they are tied ([3], or [N, 3])."""
    path = np.zeros((len(hairs), style.points, 3))
    path[:, 0] = point = hairs.root
    step = np.linalg.norm(bun - hairs.root, axis=1) * 1.25 / (style.points - 1)
    direction = unit(0.3 * hairs.outward + unit(bun - hairs.root))
    volume = 0.15 + hair.volume * hairs.chance
    for k in range(1, style.points):
        direction = unit(0.8 * unit(bun - point) + 0.4 * direction)
        clearance = volume * min(1.0, 3 * k / (style.points - 1)) + 0.08
        point = head.push_out(point + direction * step[:, None], clearance)
        path[:, k] = point
    return path


def _texture(
    path: Field, rng: np.random.Generator, clump: float, frequency: float, growth: Growth, hairs: Hairs
) -> Field:
    """Clump neighbouring strands, then add waves, curls and frizz."""
    root, outward, chance = hairs.root, hairs.outward, hairs.chance
    spatial = require("scipy.spatial", extra="studio")
    count, points, _ = path.shape
    clumps = max(40, count // 14)
    leaders = rng.choice(count, clumps, replace=False)
    own = spatial.cKDTree(root[leaders]).query(root)[1]
    t = np.linspace(0, 1, points)[None, :, None]
    guide = path[leaders[own]]
    amount = clump * t**1.3
    near = (np.linalg.norm(guide[:, -1] - path[:, -1], axis=1) < 8)[:, None, None]
    joined = path * (1 - amount) + (guide + 0.35 * (path[:, :1] - guide[:, :1])) * amount
    path = np.where(near, joined, path)
    arc = np.linspace(0, 1, points)[None] * growth.lengths[:, None]
    phase = (2 * np.pi * rng.random(clumps))[own][:, None]
    if growth.wave > 0:
        across = unit(np.cross(outward, DOWN))[:, None]
        angle = 1.05 * frequency * arc + phase
        reach = growth.wave * np.clip(arc / 6, 0, 1)[..., None]
        path = path + reach * (
            np.sin(angle + 0.7 * chance[:, None])[..., None] * across
            + 0.6 * np.cos(angle)[..., None] * outward[:, None]
        )
    if growth.curl > 0:
        e1 = unit(np.cross(outward, np.array([0.3, 0.9, 0.1])))
        e2 = np.cross(outward, e1)
        angle = 1.87 / max(growth.curl, 0.2) * arc + phase + 2 * chance[:, None]
        reach = growth.curl * np.clip(arc / 1.2, 0, 1)[..., None]
        path = path + reach * (np.cos(angle)[..., None] * e1[:, None] + np.sin(angle)[..., None] * e2[:, None])
    path = path + 3 * growth.frizz * t * rng.normal(size=(count, 1, 3))
    return path + 0.4 * growth.frizz * t * rng.normal(size=path.shape)


def _shading_normals(path: Field) -> Field:
    """Outward normals: from the skull's centre above, from the neck's axis below."""
    low = smoothstep(2, -12, path[..., 1])[..., None]
    return unit(unit(path - CENTER) * (1 - low) + unit(path * np.array([1, 0, 1.0])) * low)


def _add_bun(
    path: Field,
    shading: Field,
    chance: Field,
    rng: np.random.Generator,
    bun: Field,
    radius: float,
    detail: float,
) -> tuple[Field, Field, Field]:
    """Append the strands wound around the bun."""
    count = int(700 * detail)
    start = unit(rng.normal(size=(count, 3)))
    axis = unit(0.4 * rng.normal(size=(count, 3)) + np.array([0, 0.6, 1]))
    angle = np.linspace(0, 2.2, path.shape[1])[None, :, None]
    second = unit(np.cross(start, axis))
    coil = start[:, None] * np.cos(angle) + second[:, None] * np.sin(angle)
    wound = bun + radius * coil * np.array([1, 0.9, 0.9])
    return (
        np.concatenate([path, wound]),
        np.concatenate([shading, unit(wound - bun)]),
        np.concatenate([chance, rng.random(count)]),
    )
