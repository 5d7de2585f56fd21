"""What the renderer keeps in OpenGL: the kit's fixed meshes, and one person's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from mien.core.optional import require
from mien.studio.context import program
from mien.studio.geometry import EyeModel
from mien.studio.headwear_meshes import Cloth
from mien.studio.kit import FaceKit, Floats, Ints
from mien.studio.masks import SkinMasks
from mien.studio.meshes import Mesh
from mien.studio.strands import Strands, ribbon_triangles, ribbons

if TYPE_CHECKING:
    import moderngl


_RIBBON: Final = "3f 3f 4f 3f"
_RIBBON_SHADOW: Final = "3f 3f 4f 12x"
SKIN_PARTS: Final = (("face", "head"), ("mouth_socket",), ("gums_tongue",), ("teeth",))


class Programs:
    """The compiled shaders."""

    def __init__(self, context: moderngl.Context) -> None:
        self.surface = program(context, "surface", "surface")
        self.headwear = program(context, "headwear", "headwear")
        self.eyeball = program(context, "eyeball", "eyeball")
        self.hair = program(context, "hair", "hair")
        self.hair_frayed = program(context, "hair", "hair_frayed")
        self.hair_shadow = program(context, "hair", "empty")
        self.shadow = program(context, "shadow", "empty")
        self.overlay = program(context, "overlay", "overlay")
        self.backdrop = program(context, "backdrop", "backdrop")


class Drawable:
    """A vertex array for the picture, perhaps one for the shadow map, and the buffers behind them."""

    def __init__(
        self, main: moderngl.VertexArray, shadow: moderngl.VertexArray | None, owned: list[moderngl.Buffer]
    ) -> None:
        self.main, self._shadow, self._owned = main, shadow, owned

    def cast(self) -> None:
        """Draw into the shadow map, if this casts a shadow."""
        if self._shadow is not None:
            self._shadow.render()

    def release(self) -> None:
        """Give the memory back to OpenGL."""
        for resource in (self.main, self._shadow, *self._owned):
            if resource is not None:
                resource.release()


class KitMeshes:
    """The kit's skin, mouth, eyes, lashes and lid shade; only positions, normals and furrows change."""

    def __init__(
        self,
        context: moderngl.Context,
        programs: Programs,
        kit: FaceKit,
        masks: SkinMasks,
        light: Floats,
        eye: EyeModel,
    ):
        self._context, self._kit = context, kit
        render = kit.vertex_of_render
        self._staging = np.empty((len(render), 7), np.float32)
        self._dynamic = context.buffer(reserve=self._staging.nbytes, dynamic=True)
        zero = np.zeros_like(light)
        columns = (
            masks.lip, masks.blush, masks.beard, masks.scalp, light, masks.red, masks.eyelid, masks.nostril,
            masks.head_weight, masks.face, masks.forehead, zero,
        )  # fmt: skip
        fixed = np.concatenate([kit.neutral, np.stack(columns, 1)], 1)[render].astype(np.float32)
        self._fixed = context.buffer(np.ascontiguousarray(fixed).tobytes())
        layout = [
            (self._dynamic, "3f 3f 1f", "p", "n", "fw"),
            (self._fixed, "3f 4f 4f 4f", "p0", "m0", "m1", "m2"),
        ]
        self.parts = [
            context.vertex_array(programs.surface, layout, self._indices(*part), skip_errors=True)
            for part in SKIN_PARTS
        ]
        self.shadow = context.vertex_array(
            programs.shadow, [(self._dynamic, "3f 16x", "p")], self._indices("face", "head")
        )
        eyeball = np.concatenate([eye.points, eye.directions, eye.normals], 1).astype(np.float32)
        self.eyeball = context.vertex_array(
            programs.eyeball,
            [(context.buffer(eyeball.tobytes()), "3f 3f 3f", "p", "d", "n")],
            context.buffer(eye.triangles.astype(np.int32).tobytes()),
            skip_errors=True,
        )
        alpha = context.buffer(_overlay_alpha(kit)[render].astype(np.float32).tobytes())
        overlay = [(self._dynamic, "3f 16x", "p"), (alpha, "1f", "a")]
        self.lashes = context.vertex_array(programs.overlay, overlay, self._indices("lash_l", "lash_r"))
        self.lid_shade = context.vertex_array(programs.overlay, overlay, self._indices("eyeocc_l", "eyeocc_r"))
        corners = np.array([-1, -1, 1, -1, -1, 1, 1, 1], np.float32)
        self.backdrop = context.vertex_array(programs.backdrop, [(context.buffer(corners.tobytes()), "2f", "p")])

    def _indices(self, *regions: str) -> moderngl.Buffer:
        return self._context.buffer(np.ascontiguousarray(self._kit.triangles_in(*regions)).tobytes())

    def update(self, points: Floats, normals: Floats, furrows: Floats) -> None:
        """Upload a face: positions and normals [V, 3], furrow depths [V]."""
        render, staging = self._kit.vertex_of_render, self._staging
        staging[:, 0:3] = points[render]
        staging[:, 3:6] = normals[render]
        staging[:, 6] = furrows[render]
        self._dynamic.write(staging.data)


def _overlay_alpha(kit: FaceKit) -> Floats:
    """Opacity [V] of lashes and lid shade: dense at the skin, fading to their free edge."""
    spatial = require("scipy.spatial", extra="studio")
    tree = spatial.cKDTree(kit.neutral[kit.vertices_in("face")])
    alpha = np.zeros(len(kit.neutral), np.float32)
    for side in "lr":
        lashes = kit.vertices_in(f"lash_{side}")
        distance = tree.query(kit.neutral[lashes])[0]
        fade = np.clip(1.05 - distance / max(float(np.quantile(distance, 0.97)), 0.1), 0, 1) ** 0.9
        alpha[lashes] = fade * np.where(kit.neutral[lashes, 1] > 3.4, 1, 0.22)
        shade = kit.vertices_in(f"eyeocc_{side}")
        distance = tree.query(kit.neutral[shade])[0]
        alpha[shade] = np.clip(1 - distance / 0.22, 0, 1) ** 1.3 * np.where(kit.neutral[shade, 1] > 3.5, 0.8, 0.25)
    return alpha


def upload_mesh(context: moderngl.Context, programs: Programs, mesh: Mesh) -> Drawable:
    """A plain mesh drawn with the surface shader; it follows the head above the neck."""
    count = len(mesh.points)
    moving = np.zeros((count, 7), np.float32)
    moving[:, :3], moving[:, 3:6] = mesh.points, mesh.normals
    fixed = np.zeros((count, 15), np.float32)
    fixed[:, :3], fixed[:, 7] = mesh.points, mesh.light
    height = np.clip((mesh.points[:, 1] + 15.0) / 7.0, 0, 1)
    fixed[:, 11] = height * height * (3 - 2 * height)
    vertices, rest = context.buffer(moving.tobytes()), context.buffer(fixed.tobytes())
    indices = context.buffer(np.ascontiguousarray(mesh.triangles, np.int32).tobytes())
    layout = [(vertices, "3f 3f 1f", "p", "n", "fw"), (rest, "3f 4f 4f 4f", "p0", "m0", "m1", "m2")]
    main = context.vertex_array(programs.surface, layout, indices, skip_errors=True)
    shadow = context.vertex_array(programs.shadow, [(vertices, "3f 16x", "p")], indices)
    return Drawable(main, shadow, [vertices, rest, indices])


def upload_cloth(context: moderngl.Context, programs: Programs, cloth: Cloth, points: Floats) -> Drawable:
    """Headwear with its vertices at ``points`` [N, 3]; it follows the head above the shoulders and casts a shadow."""
    data = np.concatenate([points, cloth.normals, cloth.weave], 1).astype(np.float32)
    vertices = context.buffer(data.tobytes())
    indices = context.buffer(np.ascontiguousarray(cloth.triangles, np.int32).data)
    main = context.vertex_array(programs.headwear, [(vertices, "3f 3f 4f", "p", "n", "s")], indices)
    shadow = context.vertex_array(programs.shadow, [(vertices, "3f 28x", "p")], indices)
    return Drawable(main, shadow, [vertices, indices])


def upload_strands(
    context: moderngl.Context, programs: Programs, strands: Strands, taper: float = 0.25, shadow_every: int = 0
) -> Drawable:
    """Strands as ribbons; every ``shadow_every``-th casts a shadow (0: none)."""
    count, steps, _ = strands.points.shape
    taper = 0.8 if strands.rope else 0.6 if strands.frayed else taper
    vertices = context.buffer(ribbons(strands, taper).data)
    triangles = ribbon_triangles(count, steps)
    indices = context.buffer(triangles.data)
    owned = [vertices, indices]
    shader = programs.hair_frayed if strands.frayed else programs.hair
    main = context.vertex_array(shader, [(vertices, _RIBBON, "p", "t", "s", "hn")], indices)
    shadow = None
    if shadow_every:
        a_strand = 2 * (steps - 1)
        chosen = triangles.reshape(count, a_strand, 3)[::shadow_every]
        fewer = context.buffer(np.ascontiguousarray(chosen).data)
        owned.append(fewer)
        layout = [(vertices, _RIBBON_SHADOW, "p", "t", "s")]
        shadow = context.vertex_array(programs.hair_shadow, layout, fewer, skip_errors=True)
    return Drawable(main, shadow, owned)


def upload_overlay(
    context: moderngl.Context, programs: Programs, points: Floats, triangles: Ints, alpha: Floats
) -> Drawable:
    """A translucent sheet that follows the head."""
    vertices = context.buffer(np.concatenate([points, alpha[:, None]], 1).astype(np.float32).tobytes())
    indices = context.buffer(np.ascontiguousarray(triangles, np.int32).tobytes())
    main = context.vertex_array(programs.overlay, [(vertices, "3f 1f", "p", "a")], indices)
    return Drawable(main, None, [vertices, indices])
