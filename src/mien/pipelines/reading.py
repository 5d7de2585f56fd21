"""Conditions as people have them: pictures, poses and emotions, beside the tensors that networks take.

Reading a picture needs face readers and the building of landmarks, which lie in a higher layer (`mien.generation`). So
a pipeline has a place for a `ConditionReader`, and `mien.load` puts one there; a pipeline without one takes tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from mien.conditions import Emotion, Identity
from mien.errors import BadInput

if TYPE_CHECKING:
    from mien.conditions import Pose
    from mien.media.pictures import PictureLike
    from mien.pipelines.portrait import PortraitPipeline

Prompt: TypeAlias = "str | Sequence[str] | None"
IdentityLike: TypeAlias = "Identity | PictureLike | Sequence[Identity] | Sequence[PictureLike]"
ExpressionLike: TypeAlias = "PictureLike | Sequence[PictureLike]"
PoseLike: TypeAlias = "Pose | PictureLike | Sequence[Pose | PictureLike]"
EmotionLike: TypeAlias = "str | Emotion | Tensor | Sequence[str] | Sequence[Emotion]"


class ConditionReader(Protocol):
    """Turns pictures and poses into what the branches and the prompt take."""

    def __call__(
        self,
        pipeline: PortraitPipeline,
        *,
        prompt: Prompt,
        identity: IdentityLike | None,
        expression: ExpressionLike | None,
        pose: PoseLike | None,
        emotion: EmotionLike | None,
    ) -> dict[str, Any]:
        """Arguments of the pipeline's call, tensors with a row each.

        Args:
            pipeline: whose conditions they will be.
            prompt: one, one a row, or None.
            identity: pictures, one or a list, or None; likewise the others.
            expression: pictures.
            pose: `Pose` or pictures.
            emotion: names or `Emotion`.
        """
        ...


def is_picture(value: object, *, tensors: bool) -> bool:
    """Whether an argument is a picture, or a list of them, and no embedding.

    Args:
        value: of a condition.
        tensors: whether floating-point tensors [B, 3, H, W] are pictures (of an identity) or what a network reads (the
            crops of an expression).
    """
    if isinstance(value, list | tuple):
        return any(is_picture(one, tensors=tensors) for one in cast("Sequence[object]", value))
    if isinstance(value, Tensor):
        return value.dtype == torch.uint8 or (tensors and value.ndim == 4)
    if isinstance(value, np.ndarray):
        return value.ndim >= 3
    return isinstance(value, str | Path) or hasattr(value, "convert")


def identity_rows(identity: IdentityLike | Tensor | Sequence[Tensor] | None) -> Tensor | None:
    """Face embeddings as a tensor, of `Identity`, an array, a tensor, or a list of such."""
    if isinstance(identity, Identity):
        return torch.as_tensor(identity.vector())[None]
    if isinstance(identity, list | tuple):
        if not identity:
            raise BadInput("The list of identities is empty; leave it out, or give at least one.")
        if any(isinstance(one, Identity) for one in identity) and not all(
            isinstance(one, Identity) for one in identity
        ):
            raise BadInput("A list of identities holds pictures, or embeddings, not both.")
        rows = [one.vector() if isinstance(one, Identity) else one for one in identity]
        return torch.stack([torch.as_tensor(row) for row in rows])
    return None if identity is None else torch.as_tensor(identity)


def emotion_rows(emotion: EmotionLike | None) -> Tensor | None:
    """Condition vectors [B, 10] of names, `Emotion` or a list of such; a tensor stays as it is.

    Raises:
        BadInput: for a name that is no emotion.
    """
    if emotion is None or isinstance(emotion, Tensor):
        return emotion
    given = cast("Sequence[object]", [emotion] if isinstance(emotion, str | Emotion) else emotion)
    named = [one for one in given if isinstance(one, str | Emotion)] if isinstance(given, list | tuple) else []
    if len(named) != len(given):
        return torch.as_tensor(given)
    return torch.tensor([(Emotion.parse(one) if isinstance(one, str) else one).vector() for one in named])


def read_conditions(
    pipeline: PortraitPipeline,
    prompt: Prompt,
    given: dict[str, Any],
    pose: PoseLike | None,
    identity_picture: Tensor | None,
    embeds: bool,
) -> tuple[Prompt, dict[str, Tensor | None], Tensor | None]:
    """The prompt, the conditions as tensors, and the face's picture for a branch that looks at it.

    Args:
        pipeline: its `reader` reads pictures and poses, if there are any.
        prompt: of the call.
        given: ``identity``, ``landmarks``, ``expression``, ``emotion`` -> what the caller gave, or None. Tensors go
            through as they are, and before what is read.
        pose: `Pose`, pictures, or None.
        identity_picture: of the call.
        embeds: whether the prompt is given as embeddings, so that none is made up.

    Raises:
        BadInput: if there are pictures and no reader.
        NoFaceFound: if a picture has no face.
    """
    raw = {
        name: given[name] for name in ("identity", "expression") if is_picture(given[name], tensors=name == "identity")
    }
    found: dict[str, Any] = {}
    if raw or pose is not None:
        if pipeline.reader is None:
            raise BadInput(
                "This pipeline has no face reader for pictures and poses: load it with mien.load, or give embeddings "
                "and landmark images as tensors."
            )
        emotion = None if isinstance(given["emotion"], Tensor) else given["emotion"]
        found = pipeline.reader(
            pipeline,
            prompt=prompt,
            identity=raw.get("identity"),
            expression=raw.get("expression"),
            pose=pose,
            emotion=emotion,
        )
        prompt = prompt if embeds else found.get("prompt")
    tensors = {
        "identity": None if "identity" in raw else identity_rows(given["identity"]),
        "landmarks": given["landmarks"],
        "expression": None if "expression" in raw else given["expression"],
        "emotion": emotion_rows(given["emotion"]),
    }
    whole = {name: found.get(name) if value is None else value for name, value in tensors.items()}
    return prompt, whole, identity_picture if identity_picture is not None else found.get("identity_picture")
