"""From identities and targets to what the pipeline takes, read from pictures as a user's would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.conditions import Emotion
from mien.errors import BadInput
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.scene import Pair, Subject
from mien.evaluation.control.settings import ControlSettings
from mien.faces.drawing import draw_landmarks
from mien.faces.observed import face_crop, largest_face
from mien.faces.types import Face
from mien.generation.blending import framed
from mien.generation.conditioning import PipelineInputs

if TYPE_CHECKING:
    from torch import Tensor

    from mien.faces.observed import DetectedFace
    from mien.pipelines.portrait import PortraitPipeline
    from mien.studio.renderer import Render

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Look:
    """A render with the landmarks that steer the model.

    Attributes:
        image: uint8 [S, S, 3].
        landmarks: [478, 3] as the first reader reads them; the exact ones where it finds no face.
        read: whether the reader found it.
    """

    image: NDArray[np.uint8]
    landmarks: Floats
    read: bool

    @property
    def seen(self) -> DetectedFace:
        """As the product's own tools take it."""
        from PIL import Image

        from mien.faces.observed import DetectedFace

        return DetectedFace(
            Image.fromarray(self.image), Face("benchmark", (0.0, 0.0, 0.0, 0.0), landmarks=self.landmarks)
        )

    @cached_property
    def face_shape(self) -> NDArray[np.float64]:
        """Identity coefficients of the linear face fitted to the landmarks."""
        from mien.faces.linear.fit import fit_face

        return fit_face(self.landmarks).shape


def look_at(tools: EvaluationContext, render: Render) -> Look:
    """Read a render, as a `mien.studio.renderer.Renderer` gives it."""
    face = largest_face(tools.readers[tools.first_reader], render.image)
    points = None if face is None else face.landmarks
    exact = np.asarray(render.landmarks, np.float32)
    return Look(render.image, exact if points is None else np.asarray(points, np.float32), points is not None)


def embed(tools: EvaluationContext, look: Look) -> Floats:
    """The model's identity embedding [512] of a render."""
    import torch

    from mien.core.pixels import pictures_to_tensor
    from mien.faces.alignment import arcface_matrix, warp_filtered

    size = int(tools.embedder.config["size"])
    matrix = arcface_matrix(torch.from_numpy(look.landmarks)[None], size)
    with torch.no_grad():
        return tools.embedder(warp_filtered(pictures_to_tensor([look.image]), matrix, size))[0].numpy()


def attributes_of(tools: EvaluationContext, look: Look) -> Mapping[str, Any]:
    """What the studio's reader sees of a person.

    Raises:
        BadInput: if that reader is not there.
    """
    if "studio" not in tools.readers:
        raise BadInput("The condition prompt needs the studio's reader: train it, or leave prompt out of --conditions.")
    face = largest_face(tools.readers["studio"], look.image)
    return (face.attributes if face else None) or {}


@dataclass(frozen=True, eq=False)
class Inputs:
    """All conditions, one of each person or target; None where a condition is not used.

    Attributes:
        identity: embeddings [512] of the people.
        attributes: of the people.
        doing: what the targets' faces do, in words.
        landmark_images: of the targets, as read (the paper's way).
        crops, emotions: of the targets.
        face_shapes: (people, targets) where landmarks are given the person's face shape.
        size: side of the pictures in pixels.
        faces: crops of the people, for an identity branch that looks at the face too.
        plain_prompt: words of every picture about which nothing is said.
    """

    identity: list[Floats | None]
    attributes: list[Mapping[str, Any] | None]
    doing: list[str | None]
    landmark_images: list[NDArray[np.uint8] | None]
    crops: list[Tensor | None]
    emotions: list[Emotion | None]
    face_shapes: tuple[Sequence[Look], Sequence[Look]] | None
    size: int
    faces: list[Tensor | None]
    plain_prompt: str | None = None

    def rows(self, pairs: Sequence[Pair]) -> list[PipelineInputs]:
        """The conditions of some pairs."""
        return [
            PipelineInputs(
                prompt=self._prompt(pair),
                identity=self.identity[pair.person],
                landmark_image=self._landmarks(pair),
                expression=self.crops[pair.target],
                emotion=self.emotions[pair.target],
                face=self.faces[pair.person],
            )
            for pair in pairs
        ]

    def _prompt(self, pair: Pair) -> str | None:
        from mien.captions.compose import describe

        who, does = self.attributes[pair.person], self.doing[pair.target]
        return self.plain_prompt if who is does is None else describe(who or {}, does or "")

    def _landmarks(self, pair: Pair) -> NDArray[np.uint8] | None:
        if self.face_shapes is None:
            return self.landmark_images[pair.target]
        from mien.faces.linear.fit import retarget

        people, targets = self.face_shapes
        points = retarget(framed(targets[pair.target].seen, self.size), people[pair.person].face_shape)
        return draw_landmarks(points, self.size)


def gather_inputs(
    tools: EvaluationContext,
    settings: ControlSettings,
    people: Sequence[Look],
    targets: Sequence[Look],
    emotions: Sequence[Emotion | None],
    subjects: Sequence[Subject],
) -> Inputs:
    """Read every condition that is used.

    Args:
        tools: readers and networks.
        settings: which conditions.
        people: identity pictures.
        targets: target pictures.
        emotions: of the targets.
        subjects: what the renderer was given for the targets; none where the pictures are a user's own.

    Raises:
        BadInput: for ``words`` where it is not known what the targets' faces do.
    """
    used = active(settings, tools.kinds)
    by_landmarks = "landmarks" in used
    if "words" in used and not subjects:
        raise BadInput("The condition words needs studio targets, whose faces can be put into words: leave it out.")
    return Inputs(
        identity=[embed(tools, look) if "identity" in used else None for look in people],
        attributes=[attributes_of(tools, look) if "prompt" in used else None for look in people],
        doing=[in_words(one) for one in subjects] if "words" in used else [None] * len(targets),
        landmark_images=[
            draw_landmarks(framed(look.seen, tools.size), tools.size) if by_landmarks else None for look in targets
        ],
        crops=[crop_of(look, tools.pipeline) if "expression" in used else None for look in targets],
        emotions=[emotion if "emotion" in used else None for emotion in emotions],
        face_shapes=(people, targets) if by_landmarks and settings.retarget else None,
        size=tools.size,
        faces=[face_crop(look.seen) if {"identity", "face"} <= {*used, *tools.kinds} else None for look in people],
        plain_prompt=tools.plain_prompt,
    )


def active(settings: ControlSettings, kinds: frozenset[str]) -> tuple[str, ...]:
    """The conditions that are asked for and that the model has.

    Identity and words go through the text encoder and need no branch.
    """
    return tuple(name for name in settings.conditions if name in ("identity", "prompt", "words") or name in kinds)


def in_words(target: Subject) -> str:
    """What a target's face does."""
    from mien.captions.compose import describe_face

    return describe_face(target.picture.expression, target.picture.pose)


def crop_of(look: Look, pipeline: PortraitPipeline) -> Tensor:
    """The input of a pipeline's expression encoder, [1, 3, S, S]."""
    from mien.faces.networks import expression_input
    from mien.faces.observed import expression_crop

    config = getattr(getattr(pipeline, "expression_encoder", None), "config", None)
    return expression_crop(look.seen, **({} if config is None else expression_input(config)))
