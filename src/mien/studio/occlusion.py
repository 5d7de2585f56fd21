"""How much open sky each point of the head sees: baked once for a kit and cached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from mien.core.caches import read_arrays, write_arrays
from mien.core.io import cache_folder
from mien.core.optional import require
from mien.faces.linear.vectors import unit
from mien.studio.context import program, set_uniforms
from mien.studio.kit import FaceKit, Floats
from mien.studio.masks import SkinMasks

if TYPE_CHECKING:
    import moderngl


_SIZE: Final = 640
_DIRECTIONS: Final = 128
_THIN: Final = ("eyeocc_l", "eyeocc_r", "lash_l", "lash_r")


def load_occlusion(kit: FaceKit, masks: SkinMasks, context: moderngl.Context) -> Floats:
    """Ambient light [V] in [0, 1], from the cache or baked now (a few seconds)."""
    file = cache_folder() / f"occlusion-{kit.sha256[:16]}-1.safetensors"
    kept = read_arrays(file)
    if kept is not None and kept.arrays["light"].shape == (len(kit.neutral),):
        return kept.arrays["light"].astype(np.float32) / np.float32(255)
    light = np.round(np.clip(_bake(kit, masks, context), 0, 1) * 255).astype(np.uint8)
    write_arrays(file, {"light": light}, {})
    return light.astype(np.float32) / np.float32(255)


def _bake(kit: FaceKit, masks: SkinMasks, context: moderngl.Context) -> Floats:
    sparse = require("scipy.sparse", extra="studio")
    opened = np.zeros(len(kit.expression_names), np.float32)
    for name, value in (("jawOpen", 0.6), ("mouthSmile_L", 0.4), ("mouthSmile_R", 0.4)):
        opened[kit.expression_names.index(name)] = value
    light = _visible(kit, kit.neutral, context)
    mouth_open = _visible(kit, kit.neutral + kit.offsets(opened), context)
    inside = kit.vertices_in("mouth_socket", "gums_tongue", "teeth")
    light[inside] = mouth_open[inside]
    lips = masks.lip > 0
    light[lips] = np.maximum(light[lips], mouth_open[lips])
    triangles = kit.mesh_triangles
    edges = sparse.coo_matrix(
        (np.ones(triangles.size), (triangles.ravel(), triangles[:, [1, 2, 0]].ravel())), shape=(len(light),) * 2
    ).tocsr()
    edges = edges + edges.T
    return 0.5 * light + 0.5 * (edges @ light) / (np.asarray(edges.sum(1)).ravel() + 1e-9)


def _visible(kit: FaceKit, points: Floats, context: moderngl.Context) -> Floats:
    """Cosine-weighted share of directions from which each vertex is seen (depth maps from all around)."""
    shader = program(context, "depth_only", "empty")
    depth = context.depth_texture((_SIZE, _SIZE))
    target = context.framebuffer(depth_attachment=depth)
    keep = np.ones(len(kit.mesh_triangles), bool)
    for name in _THIN:
        keep[slice(*kit.groups[name])] = False
    vertices = context.buffer(points.astype(np.float32).tobytes())
    indices = context.buffer(kit.mesh_triangles[keep].astype(np.int32).tobytes())
    array = context.vertex_array(shader, [(vertices, "3f", "p")], indices)
    normals = kit.normals(points)
    seen, total = np.zeros(len(points)), np.zeros(len(points))
    index = np.arange(_DIRECTIONS) + 0.5
    polar, around = np.arccos(1 - 2 * index / _DIRECTIONS), np.pi * (1 + 5**0.5) * index
    sphere = np.stack([np.cos(around) * np.sin(polar), np.cos(polar), np.sin(around) * np.sin(polar)], 1)
    context.enable(context.DEPTH_TEST)
    for direction in sphere:
        up = np.array([0, 1.0, 0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0, 0])
        right = unit(np.cross(up, direction))
        turn = np.stack([right, np.cross(direction, right), direction])
        local = points @ turn.T
        middle, half = (local.max(0) + local.min(0)) / 2, (local.max(0) - local.min(0)) / 2 * 1.02
        local = (local - middle) / half
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn / half[:, None], -middle / half
        matrix[2] *= -1
        set_uniforms(shader, M=matrix)
        target.use()
        target.clear(depth=1.0)
        array.render()
        map_ = np.frombuffer(depth.read(), np.float32).reshape(_SIZE, _SIZE)
        column, row = (np.clip(((local[:, k] * 0.5 + 0.5) * _SIZE).astype(int), 0, _SIZE - 1) for k in (0, 1))
        visible = -local[:, 2] * 0.5 + 0.5 < map_[row, column] + 0.006
        weight = np.clip(normals @ direction, 0, 1) * (0.6 + 0.4 * max(direction[1], -0.5))
        seen += weight * visible
        total += weight
    for resource in (array, vertices, indices, target, depth, shader):
        resource.release()
    return (seen / (total + 1e-6)).astype(np.float32)
