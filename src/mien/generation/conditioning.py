"""From pictures and words to what the pipeline takes: identity, landmark picture, expression crop, emotion, prompt.

The landmark image (FaceCrafter's condition) is made in one of three ways. *Difference*, the default: the expression
picture's own landmarks, moved and scaled into the studio's framing, with the difference of the two face shapes added.
*Coefficients* (``--retarget coefficients``): a linear face with the identity's shape and the coefficients, gaze and
pose that were fitted to the expression picture (`mien.generation.blending`); always so where a pose, an angle, a
blendshape, a part of the face, a strength or several expressions are named, and where nothing says what the face of a
given person or feeling does: then at rest, or as the feeling usually looks. *None* (``--no-retarget``): the expression
picture's landmarks as they are, which also carry the donor's face shape; the paper's way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.captions.description import with_description
from mien.captions.words import speaks_of_a_face
from mien.conditions import Emotion
from mien.core.seeds import seeded_generator
from mien.errors import BadInput
from mien.faces.observed import DetectedFace, face_crop
from mien.generation.blending import expression_of, framed, wanted_expression
from mien.generation.request import EXPRESSION_SCALES, GenerateRequest, InputPicture, Role
from mien.generation.tools import FaceTools

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from mien.pipelines.portrait import PortraitPipeline


log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PipelineInputs:
    """What the pipeline is given; None leaves a condition out.

    Attributes:
        prompt: words.
        identity: [512], L2 norm 1.
        landmarks: [478, 3] pixels of the picture to be drawn.
        landmark_image: uint8 [S, S, 3].
        expression: float [1, 3, H, W] in [-1, 1].
        face: the person's face for an identity branch that looks at it, float [1, 3, H, W] in [-1, 1]; of several
            people that of the one with the largest weight.
        attributes: what the prompt describes of the person; None where it is the user's own.
        emotion: what was asked for.
        seen: the input pictures with their faces, by role.
    """

    prompt: str | None = None
    identity: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None
    landmark_image: NDArray[np.uint8] | None = None
    expression: Tensor | None = None
    face: Tensor | None = None
    attributes: dict[str, Any] | None = None
    emotion: Emotion | None = None
    seen: dict[Role, DetectedFace] = field(default_factory=dict)


def pipeline_arguments(rows: Sequence[PipelineInputs]) -> dict[str, Any]:
    """Keyword arguments of `PortraitPipeline.__call__` for one picture of each row.

    Raises:
        ValueError: if they do not all have the same conditions.
    """
    import torch

    from mien.core.pixels import pictures_to_tensor

    first = rows[0]
    for name in ("prompt", "identity", "landmark_image", "expression", "face", "emotion"):
        if len({getattr(one, name) is None for one in rows}) > 1:
            raise ValueError(f"some rows have {name} and some have not")
    found: dict[str, Any] = {"prompt": None if first.prompt is None else [one.prompt for one in rows]}
    if first.identity is not None:
        found["identity"] = torch.stack([torch.from_numpy(one.identity) for one in rows])
    if first.landmark_image is not None:
        found["landmarks"] = pictures_to_tensor([one.landmark_image for one in rows])
    if first.expression is not None:
        found["expression"] = torch.cat([one.expression for one in rows if one.expression is not None])
    if first.face is not None:
        found["identity_picture"] = torch.cat([one.face for one in rows if one.face is not None])
    if first.emotion is not None:
        found["emotion"] = torch.tensor([one.emotion.vector() for one in rows if one.emotion is not None])
    return found


def with_readable_prompt(
    request: GenerateRequest, inputs: PipelineInputs, pipeline: PortraitPipeline
) -> tuple[PipelineInputs, dict[str, Any]]:
    """Inputs with as much of their prompt as the base reads, and what the record says of it.

    Args:
        request: what is asked for.
        inputs: its conditions.
        pipeline: what draws them; it warns of what is left out.

    Returns:
        The inputs, and the settings of the record in the place of the request's: its own prompt as it was read.
    """
    if not inputs.prompt:
        return inputs, {}
    inputs = replace(inputs, prompt=pipeline.readable_prompt(inputs.prompt, inputs.identity is not None))
    return inputs, {} if request.prompt is None else {"prompt": inputs.prompt}


def run_pipeline(
    pipeline: PortraitPipeline, rows: Sequence[PipelineInputs], seeds: Sequence[int], **options: Any
) -> list[Image.Image]:
    """One picture of each row in one call; each picture's noise comes from its own seed alone, on any device.

    Args:
        pipeline: a `mien.pipelines.PortraitPipeline`.
        rows: B conditions, see `pipeline_arguments`.
        seeds: B seeds.
        options: further arguments of the pipeline.
    """
    generators = [seeded_generator(seed) for seed in seeds]
    return pipeline(**pipeline_arguments(rows), generator=generators, **options).images


def open_inputs(request: GenerateRequest) -> dict[Role, Image.Image]:
    """The input pictures, opened and checked; one that is given for several roles is opened once."""
    from mien.media.pictures import as_picture

    opened: dict[Path | int, Image.Image] = {}
    for picture in request.inputs.values():
        if _same(picture) not in opened:
            opened[_same(picture)] = as_picture(picture)
    return {role: opened[_same(picture)] for role, picture in request.inputs.items()}


def _same(picture: InputPicture) -> Path | int:
    """What two input pictures share if they are one: the path, or the picture in memory itself."""
    return picture if isinstance(picture, Path) else id(picture)


def build_inputs(
    request: GenerateRequest, pictures: dict[Role, Image.Image], tools: FaceTools, size: int, kinds: frozenset[str]
) -> PipelineInputs:
    """Read the faces and build every condition of a request.

    Args:
        request: what is asked for.
        pictures: opened inputs by role.
        tools: readers.
        size: side of the pictures to be drawn, pixels.
        kinds: branches that the base has; an expression picture steers through those of "landmarks" and "expression"
            that are among them, and "face" says that the identity branch looks at the face too.

    Raises:
        NoFaceFound: if a picture has no face.
    """
    from mien.media.pictures import picture_name

    faces: dict[int, DetectedFace] = {}  # by picture: one that is given for several roles is read once
    for role, image in pictures.items():
        if id(image) not in faces:
            read = tools.read(image, picture_name(request.inputs[role]))
            faces[id(image)] = DetectedFace(image, read.face())
    seen: dict[Role, DetectedFace] = {role: faces[id(image)] for role, image in pictures.items()}
    for role, one in seen.items():
        box, side = [round(value) for value in one.face.box], "x".join(map(str, one.image.size))
        log.info(
            "%s: face at %s of %s pixels, score %.2f, read by %s", role, box, side, one.face.score, one.face.reader
        )
    identity, face, attributes, prompt = None, None, None, request.prompt
    if "identity" in seen:
        from mien.faces.sphere import sphere_mean

        embedded = {role: tools.embed(seen[role]) for role in request.people}
        identity = sphere_mean([embedding for embedding, _ in embedded.values()], request.weights)
        chief = heaviest(request)
        if prompt is None:
            attributes = with_description(embedded[chief][1], request.describe or "")
            prompt = tools.describe(attributes)
        face = face_crop(seen[chief]) if "face" in kinds else None
    if lacking := _branches(request) - kinds:
        raise BadInput(
            f"This base has no branch for {' and '.join(sorted(lacking))}: leave out expression-by "
            f"{request.expression_by}, or load an adapter that has one."
        )
    only_crop = "expression" in kinds and "landmarks" not in kinds and not request.builds_landmarks
    by_crop = only_crop or request.expression_by == "picture"
    landmarks = None if by_crop else wanted_landmarks(request, seen, size, by_default="landmarks" in kinds)
    landmark_image = None
    if landmarks is not None:
        from mien.faces.drawing import draw_landmarks

        landmark_image = draw_landmarks(landmarks, size)
    return PipelineInputs(
        prompt=prompt,
        identity=identity,
        landmarks=landmarks,
        landmark_image=landmark_image,
        expression=tools.crop(seen["expression"]) if "expression" in seen and "expression" in kinds else None,
        face=face,
        attributes=attributes,
        emotion=request.emotion_wanted,
        seen=seen,
    )


def _branches(request: GenerateRequest) -> set[str]:
    """Branches that the base has to have for the expression to come as it is asked for."""
    scales = {} if request.expression_by is None else {"landmarks": 1.0, **EXPRESSION_SCALES[request.expression_by]}
    return {branch for branch, scale in scales.items() if scale}


def heaviest(request: GenerateRequest) -> Role:
    """Who has the largest weight among the people, the first of equals: a mixture is described as this one."""
    weights = dict(zip(request.people, request.weights, strict=True)) if request.weights else {}
    return max(request.people, key=lambda role: weights.get(role, 1.0))


def people_shape(request: GenerateRequest, seen: dict[Role, DetectedFace], size: int) -> NDArray[np.float64] | None:
    """Shape of the wanted person on the linear face: the weighted mean of those of the pictures; None without one."""
    import numpy as np

    from mien.faces.linear.fit import fit_face

    shapes = [fit_face(framed(seen[role], size)).shape for role in request.people]
    return np.average(shapes, axis=0, weights=request.weights or None) if shapes else None


def wanted_landmarks(
    request: GenerateRequest, seen: dict[Role, DetectedFace], size: int, by_default: bool = True
) -> NDArray[np.float32] | None:
    """Landmarks [478, 3] in pixels of the picture to be drawn.

    Of an expression picture in the way that the request names. Where no picture shows an expression, an identity or an
    emotion still gets landmarks (*ours*): neutral and frontal, or the emotion's usual expression; a small model draws a
    face better when it is given the places of its parts. But where the prompt describes the face, a neutral landmark
    image would contradict the prompt.

    Args:
        request: what is asked for.
        seen: faces by role.
        size: side of the picture in pixels.
        by_default: build landmarks that nothing asks for.

    Returns:
        None if the prompt alone decides.
    """
    by_coefficients = request.retarget == "coefficients" and "expression" in seen and bool(request.people)
    if request.builds_landmarks or by_coefficients:
        return _built(request, seen, size)
    if "expression" not in seen:
        said = request.prompt is not None and speaks_of_a_face(request.prompt)
        wanted = by_default and (request.emotion or (seen and not said))
        return _built(request, seen, size) if wanted else None
    points = framed(seen["expression"], size)
    face_shape = people_shape(request, seen, size) if request.retarget == "difference" else None
    if face_shape is not None:
        from mien.faces.linear.fit import retarget

        points = retarget(points, face_shape)
    return points


def _built(request: GenerateRequest, seen: dict[Role, DetectedFace], size: int) -> NDArray[np.float32]:
    """The linear face with the identity's shape, the expression's coefficients and gaze, and the wanted pose."""
    from mien.faces.linear.arkit import KIT_NAMES, kit_indices
    from mien.faces.linear.face import LinearFace
    from mien.faces.linear.fit import fit_face
    from mien.faces.linear.state import gaze_from_lids

    shape = people_shape(request, seen, size)
    coefficients, looks = wanted_expression(request, seen, size, shape)
    named: dict[str, float] = {}
    for name, value in request.blendshapes.items():
        coefficients[list(kit_indices(name))] = value
        named |= {KIT_NAMES[index]: value for index in kit_indices(name)}
    own = (0.0, 0.0, 0.0)
    if "pose" in seen:
        own = fit_face(framed(seen["pose"], size)).pose
    elif "expression" in seen:
        own = expression_of(seen["expression"], size).pose
    yaw, pitch, roll = (
        kept if angle is None else angle
        for kept, angle in zip(own, (request.yaw, request.pitch, request.roll), strict=True)
    )
    # eyeLook* alone would move the lids and leave the irises where they are
    gaze_yaw, gaze_pitch = (
        own if asked is None else asked for own, asked in zip(looks, gaze_from_lids(named), strict=True)
    )
    return LinearFace.load().landmarks(
        coefficients,
        pose=(yaw, pitch, roll),
        gaze=(gaze_yaw, gaze_pitch),
        shape=shape,
        size=size,
    )
