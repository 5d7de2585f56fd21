"""Pictures of ComfyUI, the faces in them, and what is made of both for branches."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mien.conditions import EMOTIONS, Emotion
from mien.core.pixels import pictures_to_tensor
from mien.errors import BadInput
from mien.faces.drawing import draw_landmarks
from mien.faces.observed import CLIP_SIDE, DetectedFace, expression_crop, face_crop, landmarks_of
from mien.generation.conditioning import wanted_landmarks
from mien.generation.request import GenerateRequest
from mien.generation.tools import FaceTools
from mien.provenance.consent import remind_once

log = logging.getLogger(__name__)

EMBEDDERS: Mapping[str, str] = {"arcface": "sd15", "studio": "studio"}
"""Name of a network that tells people apart -> the base whose adapters were made with it."""
SLIDERS: Mapping[str, tuple[str, ...]] = {
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "jaw": ("jawOpen",),
    "pucker": ("mouthPucker",),
    "frown": ("mouthFrownLeft", "mouthFrownRight"),
    "brows_up": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "brows_down": ("browDownLeft", "browDownRight"),
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "squint": ("eyeSquintLeft", "eyeSquintRight"),
}
"""What an artist calls it -> the blendshapes that it moves."""


@dataclass(frozen=True, eq=False)
class Person:
    """Who is to be seen.

    Attributes:
        embedding: [512], L2 norm 1.
        face: [1, 3, 224, 224] in [-1, 1].
    """

    embedding: Tensor
    face: Tensor


def to_pictures(images: Tensor) -> list[Image.Image]:
    """ComfyUI's IMAGE, float [B, H, W, 3 or 4] in [0, 1], as RGB pictures."""
    levels = (images[..., :3].detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    return [Image.fromarray(one) for one in levels]


def to_images(pictures: Any) -> Tensor:
    """RGB pictures (PIL or uint8 [H, W, 3]) of one size as ComfyUI's IMAGE."""
    return torch.from_numpy(np.stack([np.asarray(one) for one in pictures])).float() / 255


def read_faces(images: Tensor, reader: str) -> list[DetectedFace]:
    """The largest face in each picture.

    Raises:
        NoFaceFound: if a picture has none.
    """
    tools = _tools("studio", reader)
    pictures = to_pictures(images)
    return [DetectedFace(one, tools.read(one, f"picture {n}").face()) for n, one in enumerate(pictures, 1)]


def identify(faces: list[DetectedFace], embedder: str) -> Person:
    """Who the faces show: the mean of several pictures of one person, or of several people.

    Raises:
        MissingAsset: if the network is not here; the message says how to get it.
    """
    from mien.faces.sphere import sphere_mean

    remind_once(log.warning)
    embed = _tools(EMBEDDERS[embedder], "studio" if embedder == "studio" else "auto").embed
    mean = sphere_mean([embed(one)[0] for one in faces])
    return Person(torch.from_numpy(mean), face_crop(faces[0]))


def expression_of(faces: list[DetectedFace]) -> Tensor:
    """Crops [P, 3, 224, 224] in [-1, 1] that an expression adapter reads through CLIP."""
    return torch.cat([expression_crop(one, CLIP_SIDE) for one in faces])


def landmarks_for(
    size: int,
    identity: list[DetectedFace] | None,
    expression: list[DetectedFace] | None,
    pose: list[DetectedFace] | None,
    angles: tuple[float, float, float] | None,
    sliders: Mapping[str, float],
    emotion: Emotion | None,
) -> Tensor:
    """Landmarks [478, 3] in pixels of a square of ``size``: that face, with this person's shape, turned so.

    Args:
        size: side of the picture in pixels.
        identity: whose face shape; an average one without.
        expression: whose expression, and head pose where nothing else says it.
        pose: whose head pose.
        angles: (yaw, pitch, roll) in degrees, over the pose of pictures; None leaves it to them.
        sliders: of `SLIDERS`, in [0, 1], over the expression's own; 0 leaves it as it is.
        emotion: how the face looks where no picture says so.
    """
    people = {f"identity{'' if n == 0 else f'-{n + 1}'}": one for n, one in enumerate(identity or [])}
    seen = people | {role: faces[0] for role, faces in (("expression", expression), ("pose", pose)) if faces}
    moved = {name: value for slider, value in sliders.items() if value > 0 for name in SLIDERS[slider]}
    yaw, pitch, roll = angles or (None, None, None)
    if angles is None and not (expression or pose):
        yaw = 0.0  # nothing says which way: to the front
    request = GenerateRequest.checked(
        **{role: seen[role].image for role in ("identity", "expression", "pose") if role in seen},
        identities=tuple(one.image for one in (identity or [])[1:]),
        yaw=yaw, pitch=pitch, roll=roll, emotion=emotion, blendshapes=moved,
    )  # fmt: skip
    points = wanted_landmarks(request, seen, size)
    assert points is not None  # an expression, or a pose: both give a face
    return torch.from_numpy(points)


def landmark_image(landmarks: Tensor, size: int) -> Tensor:
    """The landmark condition as an IMAGE [1, size, size, 3]: what the branch will see."""
    return to_images([draw_landmarks(landmarks.numpy(), size)])


def as_condition(images: Tensor) -> Tensor:
    """An IMAGE as branches read pictures: [B, 3, H, W] in [-1, 1]."""
    return pictures_to_tensor(to_pictures(images))


def drawn_over(faces: list[DetectedFace]) -> Tensor:
    """The first picture with the landmarks that were read in it, darkened so that they show."""
    picture, points = faces[0].image, landmarks_of(faces[0])
    side = max(picture.size)
    drawn = draw_landmarks(points, side)[: picture.height, : picture.width].astype(np.float32)
    over = np.asarray(picture, np.float32) * 0.5
    shown = np.where(drawn.max(-1, keepdims=True) > 0, drawn, over)
    return to_images([shown.round().astype(np.uint8)])


def words_for(faces: list[DetectedFace]) -> str:
    """What was read, a line for each face."""
    lines = []
    for one in faces:
        x0, y0, x1, y1 = (round(value) for value in one.face.box)
        words = [f"face at {x0},{y0} to {x1},{y1}"]
        if one.face.pose is not None:
            words.append("yaw {:.0f}, pitch {:.0f}, roll {:.0f}".format(*one.face.pose))
        if (feeling := emotion_of(one)) is not None:
            words.append(f"{feeling.label}, valence {feeling.valence:.2f}, arousal {feeling.arousal:.2f}")
        lines.append("; ".join(words))
    return "\n".join(lines)


def emotion_of(face: DetectedFace) -> Emotion | None:
    """The emotion that was read, or None where the reader tells none."""
    if face.face.emotion is None:
        return None
    valence, arousal, *chances = (float(value) for value in face.face.emotion)
    total = sum(chances)
    inside = (max(-1.0, min(1.0, value)) for value in (valence, arousal))
    return Emotion(tuple(value / total for value in chances), *inside)


def wanted_emotion(name: str, strength: float, face: list[DetectedFace] | None, place: tuple[float, float]) -> Emotion:
    """An emotion by its name, at a place of the valence-arousal plane, or as read in a face.

    Args:
        name: of `EMOTIONS`, ``"valence and arousal"`` or ``"as read"``.
        strength: of a named one, in [0, 1].
        face: for ``"as read"``.
        place: (valence, arousal).

    Raises:
        BadInput: if a face is wanted and there is none, or its reader tells no emotion.
    """
    if name in EMOTIONS:
        return Emotion.of(name, strength)
    if name == "valence and arousal":
        return Emotion.at(*place)
    read = emotion_of(face[0]) if face else None
    if read is None:
        raise BadInput("Connect a face whose reader tells an emotion (studio), or choose an emotion by its name.")
    return read


@lru_cache(maxsize=4)
def _tools(base: str, reader: str) -> FaceTools:
    """Readers, loaded once for all runs of the server."""
    return FaceTools.load(base, reader)


class ClipVision:
    """ComfyUI's CLIP_VISION as mien's branches ask an image encoder of transformers.

    Args:
        loaded: ``comfy.clip_vision.ClipVisionModel``.
        load: ``comfy.model_management.load_model_gpu``.
    """

    def __init__(self, loaded: Any, load: Any) -> None:
        layers = loaded.model.state_dict()
        projection = layers["visual_projection.weight"]
        self.config = SimpleNamespace(
            model_type="clip_vision_model", image_size=loaded.image_size,
            hidden_size=projection.shape[1], projection_dim=projection.shape[0],
        )  # fmt: skip
        self._loaded, self._load = loaded, load
        self.device, self.dtype = loaded.load_device, torch.float32  # its layers cast to what they are given

    def __call__(self, pixels: Tensor, output_hidden_states: bool = False) -> Any:
        """Features of normalised pictures [B, 3, S, S]: ``image_embeds`` and ``hidden_states[-2]``."""
        self._load(self._loaded.patcher)
        _, inner, embeds, *_ = self._loaded.model(pixel_values=pixels, intermediate_output=-2)
        return SimpleNamespace(image_embeds=embeds.float().cpu(), hidden_states=(inner.float().cpu(), None))
