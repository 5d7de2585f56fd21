"""Persons and pictures to pixels, masks and landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.faces import palette
from mien.faces.linear.landmark_map import LandmarkMap
from mien.faces.linear.state import EYE_PITCH
from mien.faces.linear.vectors import rotation
from mien.faces.linear.view import PIVOT, View
from mien.studio.context import create_context, set_uniforms
from mien.studio.dressing import Worn, dress
from mien.studio.furrows import furrow_patterns, furrow_weights
from mien.studio.geometry import EyeModel, PersonGeometry, build_beard, build_geometry
from mien.studio.gpu import Drawable, KitMeshes, Programs, upload_cloth, upload_mesh, upload_overlay, upload_strands
from mien.studio.kit import FaceKit, Floats
from mien.studio.lights import light_colors, light_vectors, shadow_matrix
from mien.studio.masks import build_masks
from mien.studio.materials import (
    backdrop_uniforms,
    beard_color,
    cloth_uniforms,
    eye_uniforms,
    hair_color,
    headwear_uniforms,
    skin_uniforms,
)
from mien.studio.meshes import spectacles
from mien.studio.occlusion import load_occlusion
from mien.studio.person import Person
from mien.studio.scene import Scene

_SHADOW_SIZE: Final = 384
_FURROW_DEPTH: Final = 0.11  # units
_MOUTH_OPEN: Final = 0.2  # lip gap in units beyond which teeth and tongue can be seen
_INNER_LIPS: Final = [61, 62, 63, 67, 66, 65]  # of the 68 landmarks: three of the upper lip above three of the lower


@dataclass(frozen=True, eq=False)
class PosedHead:
    """The geometry behind one picture.

    Attributes:
        points: [V, 3] deformed vertices before the head's rotation.
        world: [V, 3] the same in the camera's world.
        eye_centers: [2, 3] eyeball centres in the world, subject's left then right.
        eye_rotations: [2, 3, 3] eyeball orientations in the world (column 2 is the optical axis).
        eye_sizes: [2] factors on the kit's eyeball.
        view: camera and head rotation.
    """

    points: Floats
    world: NDArray[np.float64]
    eye_centers: NDArray[np.float64]
    eye_rotations: NDArray[np.float64]
    eye_sizes: tuple[float, float]
    view: View


@dataclass(frozen=True, eq=False)
class Render:
    """One finished picture.

    Attributes:
        image: uint8 [S, S, 3] RGB.
        mask: uint8 [S, S], 255 on the face (skin, eyes, mouth, glasses; not hair, ears or neck).
        matte: uint8 [S, S], share of each pixel that is not background, 255 on the person.
        head: the geometry it shows.

    Example:
        >>> from mien.studio import FaceKit, Renderer, sample_person, sample_scene
        >>> person = sample_person(seed=7)
        >>> render = Renderer(FaceKit.load(), size=64).render(person, sample_scene(7, person))
        >>> render.image.shape, render.landmarks.shape
        ((64, 64, 3), (478, 3))
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    matte: NDArray[np.uint8]
    head: PosedHead

    @cached_property
    def landmarks(self) -> NDArray[np.float32]:
        """MediaPipe's 478 points [478, 3] in px of this picture, exact."""
        head = self.head
        return LandmarkMap.load().project(
            head.world, head.eye_centers, head.eye_rotations, head.view.matrix, len(self.image), head.eye_sizes
        )


class Renderer:
    """Draws pictures of studio people; one OpenGL context, one thread.

    Args:
        kit: the face kit.
        size: pixels a side.
        supersample: samples a pixel and axis.

    Example:
        >>> from mien.studio import FaceKit, Renderer, sample_person, sample_scene
        >>> person = sample_person(seed=7)
        >>> Renderer(FaceKit.load(), size=64).render(person, sample_scene(7, person)).image.shape
        (64, 64, 3)
    """

    def __init__(self, kit: FaceKit, size: int = 128, supersample: int = 2) -> None:
        self.kit, self.size, self.supersample = kit, size, supersample
        # Fewer and wider strands where single hairs are below a pixel.
        self._detail = min(1.0, max(0.42, size * supersample / 600.0))
        self._context = create_context()
        self._programs = Programs(self._context)
        self._masks = build_masks(kit)
        self._furrows = furrow_patterns(kit)
        self._eye = EyeModel.of(kit)
        light = load_occlusion(kit, self._masks, self._context)
        self._meshes = KitMeshes(self._context, self._programs, kit, self._masks, light, self._eye)
        pixels = size * supersample
        context = self._context
        self._target = context.framebuffer(
            [context.texture((pixels, pixels), 4)], context.depth_renderbuffer((pixels, pixels))
        )
        depth = context.depth_texture((_SHADOW_SIZE, _SHADOW_SIZE))
        depth.compare_func = "<="
        depth.repeat_x = depth.repeat_y = False
        self._shadow_map = depth
        self._shadow_target = context.framebuffer(depth_attachment=depth)
        self._lip_marks = kit.landmarks68[_INNER_LIPS]
        self._geometry: PersonGeometry | None = None
        self._loaded: dict[str, Drawable] = {}
        self._beards: dict[str, Any] = {}

    def geometry(self, person: Person) -> PersonGeometry:
        """The person's neutral geometry (kept for the last person asked for)."""
        if self._geometry is None or self._geometry.person != person:
            self._geometry = build_geometry(self.kit, self._masks, self._eye, person, self._detail)
            self._beards = {}
            self._load(self._geometry)
        return self._geometry

    def _load(self, geometry: PersonGeometry) -> None:
        for drawable in self._loaded.values():
            drawable.release()
        self._loaded = {"torso": upload_mesh(self._context, self._programs, geometry.torso)}
        if geometry.hair is not None:
            self._loaded["hair"] = upload_strands(self._context, self._programs, geometry.hair, shadow_every=3)

    def pose_head(self, person: Person, picture: Scene) -> tuple[PosedHead, Floats, Floats]:
        """The deformed head of a picture, its normals [V, 3] and furrow depths [V]."""
        geometry, state = self.geometry(person), picture.expression
        points = geometry.points + self.kit.offsets(state.coefficients)
        named = dict(zip(self.kit.expression_names, state.coefficients, strict=True))
        weights = furrow_weights(named, person.age, person.roughness)
        active = np.nonzero(weights > 0.01)[0]
        furrows = np.zeros(len(points), np.float32)
        for index in active:
            furrows += weights[index] * self._furrows[:, index]
        grooved = points - geometry.normals * (_FURROW_DEPTH * furrows)[:, None]
        normals = self.kit.normals(grooved.astype(np.float32, copy=False))
        view = View(picture.camera, picture.pose)
        gaze = _eye_rotation(state.gaze)
        head = PosedHead(
            points=points,
            world=view.posed(points, self._masks.head_weight),
            eye_centers=view.posed(geometry.eye_centers, np.ones(2)),
            eye_rotations=np.stack([view.head @ gaze] * 2),
            eye_sizes=geometry.eye_sizes,
            view=view,
        )
        return head, normals, furrows

    def render(self, person: Person, picture: Scene) -> Render:
        """Draw one picture."""
        head, normals, furrows = self.pose_head(person, picture)
        geometry = self.geometry(person)
        worn = dress(self.kit, geometry, picture.headwear) if picture.headwear else None
        shown = head.points
        if worn is not None and worn.head is not None:
            shown = (head.points + worn.head - geometry.points).astype(np.float32)
        self._meshes.update(shown, normals, furrows)
        temporary = self._picture_parts(geometry, picture, head, normals)
        hair = self._dress(worn, head.points - geometry.points, temporary)
        try:
            self._draw_shadows(picture, head.view, temporary, hair)
            self._draw(geometry, picture, head, temporary, hair)
            image, mask, matte = self._read()
        finally:
            for drawable in temporary.values():
                drawable.release()
        return Render(image, mask, matte, head)

    def _picture_parts(
        self, geometry: PersonGeometry, picture: Scene, head: PosedHead, normals: Floats
    ) -> dict[str, Drawable]:
        """Upload what changes with each picture: brows, beard, glasses."""
        context, programs = self._context, self._programs
        parts = {"brows": upload_strands(context, programs, geometry.brows.strands(head.points, normals), 0.35)}
        if picture.beard not in self._beards:
            self._beards[picture.beard] = build_beard(
                self.kit, self._masks, geometry, picture.beard, max(self._detail, 0.5)
            )
        beard = self._beards[picture.beard]
        if beard is not None:
            parts["beard"] = upload_strands(context, programs, beard.strands(head.points, normals), 0.35)
        if picture.glasses is not None:
            worn = spectacles(picture.glasses, geometry.eye_centers, geometry.points[self.kit.landmarks68])
            parts["glasses"] = upload_mesh(context, programs, worn.frame)
            parts["lenses"] = upload_overlay(context, programs, worn.lens_points, worn.lens_triangles, worn.lens_shine)
        return parts

    def _dress(self, worn: Worn | None, offsets: Floats, parts: dict[str, Drawable]) -> Drawable | None:
        """Upload headwear and the hair under it into ``parts``; returns the hair that is to be seen."""
        if worn is None:
            return self._loaded.get("hair")
        parts["headwear"] = upload_cloth(self._context, self._programs, worn.cloth, worn.points(offsets))
        if worn.hair is not None:
            parts["hair"] = upload_strands(self._context, self._programs, worn.hair, shadow_every=3)
        return parts.get("hair")

    def _draw_shadows(self, picture: Scene, view: View, temporary: dict[str, Drawable], hair: Drawable | None) -> None:
        context, programs = self._context, self._programs
        toward = light_vectors(picture.light)["Lk"]
        common = {"HR": view.head, "pivot": PIVOT, "VP": shadow_matrix(toward)}
        self._shadow_target.use()
        self._shadow_target.clear(depth=1.0)
        context.enable(context.DEPTH_TEST | context.CULL_FACE)
        set_uniforms(programs.shadow, **common)
        self._meshes.shadow.render()
        context.disable(context.CULL_FACE)
        self._loaded["torso"].cast()
        for name in ("glasses", "headwear"):
            if name in temporary:
                temporary[name].cast()
        if hair is not None:
            set_uniforms(programs.hair_shadow, **common, eye=view.eye, toward=toward, to_light=1, rigid=0.0)
            hair.cast()

    def _draw(
        self,
        geometry: PersonGeometry,
        picture: Scene,
        head: PosedHead,
        temporary: dict[str, Drawable],
        hair: Drawable | None,
    ) -> None:
        context, programs, meshes, person = self._context, self._programs, self._meshes, geometry.person
        view = head.view
        vectors = light_vectors(picture.light)
        common = {"HR": view.head, "pivot": PIVOT, "eye": view.eye, "VP": view.matrix}
        lit = {
            **common,
            **vectors,
            **light_colors(picture.light, person.skin_tone),
            "SM": shadow_matrix(vectors["Lk"]),
            "sm": 0,
        }
        self._target.use()
        self._target.clear(depth=1.0)
        self._shadow_map.use(0)
        context.disable(context.DEPTH_TEST)
        set_uniforms(programs.backdrop, **backdrop_uniforms(picture))
        meshes.backdrop.render(context.TRIANGLE_STRIP)
        context.enable(context.DEPTH_TEST)

        if hair is not None and geometry.hair is not None:
            color = np.asarray(hair_color(person, picture))
            shader = programs.hair_frayed if geometry.hair.frayed else programs.hair
            set_uniforms(
                shader, **lit, hairc=color, hairc2=np.clip(1.45 * color + 0.004, 0, 1), shine=0.9, ambk=0.75,
                rigid=0.0, to_light=0, mask=0.0, rope=geometry.hair.rope,
            )  # fmt: skip
            hair.main.render()
        if picture.headwear is not None:
            set_uniforms(programs.headwear, **lit, **headwear_uniforms(picture.headwear))
            temporary["headwear"].main.render()
        set_uniforms(programs.surface, **lit, **skin_uniforms(person, picture), **cloth_uniforms(picture))
        context.enable(context.CULL_FACE)
        marks = head.points[self._lip_marks]
        gap = float(np.linalg.norm(marks[:3] - marks[3:], axis=1).max())
        for part in (0, 1, 2, 3) if gap > _MOUTH_OPEN else (0, 1):
            set_uniforms(programs.surface, part=part, push=0.3 if part == 0 else 0.0)
            meshes.parts[part].render()
        context.disable(context.CULL_FACE)
        set_uniforms(programs.surface, part=4, push=0.0)
        self._loaded["torso"].main.render()
        self._draw_eyes(geometry, picture, view, lit)
        self._draw_overlays(person, picture, temporary, lit)

    def _draw_eyes(self, geometry: PersonGeometry, picture: Scene, view: View, lit: dict[str, Any]) -> None:
        gaze = _eye_rotation(picture.expression.gaze)
        shader, lid = self._programs.eyeball, 0.05 + 0.012 * picture.expression.gaze[1]  # lids follow the eyes
        set_uniforms(shader, **lit, **eye_uniforms(geometry.person), HRi=view.head.T, lid=lid)
        for index, mirror in enumerate((1.0, -1.0)):
            turned = gaze @ np.diag([mirror, 1.0, 1.0])
            set_uniforms(shader, GR=turned, ec=geometry.eye_centers[index], es=geometry.eye_sizes[index])
            self._meshes.eyeball.render()

    def _draw_overlays(
        self, person: Person, picture: Scene, temporary: dict[str, Drawable], lit: dict[str, Any]
    ) -> None:
        """Brows, beard, glasses, lashes and lenses: blended so that the mask in alpha stays as it is."""
        context, programs, meshes = self._context, self._programs, self._meshes
        context.enable(context.BLEND)
        factors: Any = context.SRC_ALPHA, context.ONE_MINUS_SRC_ALPHA, context.ZERO, context.ONE
        context.blend_func = factors  # moderngl declares pairs, and takes two of them
        brow = np.asarray(person.brows.color)
        set_uniforms(
            programs.hair,
            **lit,
            hairc=brow,
            hairc2=1.25 * brow,
            shine=0.12,
            ambk=0.6,
            rigid=1.0,
            to_light=0,
            mask=1.0,
            rope=0.0,
        )
        temporary["brows"].main.render()
        if "beard" in temporary:
            beard = np.asarray(beard_color(person, picture))
            set_uniforms(programs.hair, hairc=0.85 * beard, hairc2=1.05 * beard, shine=0.3)
            temporary["beard"].main.render()
        if "glasses" in temporary and picture.glasses is not None:
            frame = palette.linear(palette.FRAMES[picture.glasses.color])
            set_uniforms(programs.surface, part=5, push=0.0, hairc=frame)
            temporary["glasses"].main.render()
        self._target.depth_mask = False
        set_uniforms(programs.overlay, col=(0.03, 0.012, 0.01, 0.75))
        meshes.lid_shade.render()
        set_uniforms(programs.overlay, col=(0.015, 0.01, 0.01, person.lashes))
        meshes.lashes.render()
        if "lenses" in temporary:
            set_uniforms(programs.overlay, col=(0.9, 0.95, 1.0, 0.10))
            temporary["lenses"].main.render()
        self._target.depth_mask = True
        context.disable(context.BLEND)

    def _read(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Average the samples of each pixel; nothing is as deep as the background, which writes no depth."""
        s, k = self.size, self.supersample
        pixels = np.frombuffer(self._target.read(components=4), np.uint8).reshape(s, k, s, k, 4)
        total = pixels.sum(axis=(1, 3), dtype=np.uint32) if k > 1 else pixels.reshape(s, s, 4).astype(np.uint32)
        mean = ((total + k * k // 2) // (k * k)).astype(np.uint8)[::-1]
        depth = np.frombuffer(self._target.read(components=1, attachment=-1, dtype="f4"), np.float32).reshape(
            s, k, s, k
        )
        matte = np.round(255 * (depth < 1.0).mean((1, 3))).astype(np.uint8)[::-1]
        mask = np.where(mean[..., 3] >= 128, 255, 0).astype(np.uint8)
        return np.ascontiguousarray(mean[..., :3]), mask, np.ascontiguousarray(matte)


def _eye_rotation(gaze: tuple[float, float]) -> NDArray[np.float64]:
    """Orientation [3, 3] of the eyeballs in the head at a gaze of (yaw, pitch) degrees."""
    return rotation(gaze[0], gaze[1] * EYE_PITCH, 0.0)
