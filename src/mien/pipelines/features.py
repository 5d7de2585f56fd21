"""Face crops to the features a branch reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.adapters.branch import Branch
from mien.adapters.encoders.resampler import FaceResampler, Resampler, face_and_picture
from mien.errors import BadInput

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection
    from typing_extensions import TypeIs

    from mien.faces.networks import ExpressionEncoder, ExpressionReader

ImageEncoder: TypeAlias = "CLIPVisionModelWithProjection | ExpressionEncoder | ExpressionReader"
"""What reads pictures of faces for a branch: CLIP's, or the studio's own."""

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def expression_features(encoder: ImageEncoder | None, expression: Tensor, inner: bool = False) -> Tensor:
    """Features of face crops.

    Args:
        encoder: the studio's expression encoder (crops in [-1, 1] -> tokens [B, N, F]), or a transformers CLIP vision
            model (pooled embeddings [B, F], as IP-Adapter takes them).
        expression: crops [B, 3, H, W] in [-1, 1]; features [B, F] or [B, N, F] are returned as they are.
        inner: of CLIP, the tokens before the last layer [B, N, F], as resamplers take them.

    Raises:
        BadInput: if crops are given but there is no encoder.
    """
    if expression.ndim != 4:
        return expression
    if encoder is None:
        raise BadInput("This base has no expression encoder; give the features of the face instead of its picture.")
    clip = _is_clip(encoder)
    size = _side(encoder) if clip else encoder.config.get("image_size", expression.shape[-1])
    if expression.shape[-2:] != (size, size):
        expression = F.interpolate(
            expression, size=(size, size), mode="bicubic" if clip else "bilinear", antialias=True
        )
    if not clip:
        return encoder(expression.to(device=encoder.device, dtype=encoder.dtype))
    mean, std = (torch.tensor(x, device=expression.device)[:, None, None] for x in (_CLIP_MEAN, _CLIP_STD))
    return _clip_features(encoder, ((expression + 1) / 2 - mean) / std, inner)


def branch_condition(branch: Branch, encoder: ImageEncoder | None, condition: Tensor) -> Tensor:
    """What an expression branch reads, of crops or of what is that already.

    Args:
        branch: the branch; a resampler learns from the encoder what stands for no picture.
        encoder: see :func:`expression_features`, or None.
        condition: crops [B, 3, H, W] in [-1, 1], or features.

    Raises:
        BadInput: as there.
    """
    if condition.ndim == 4:
        check_width(branch, encoder)
    resampler = branch.encoder if isinstance(branch.encoder, Resampler) else None
    if resampler is not None and resampler.absent is None and encoder is not None and _is_clip(encoder):
        size = _side(encoder)
        resampler.absent = _clip_features(encoder, torch.zeros(1, 3, size, size), inner=True)
    return expression_features(encoder, condition, inner=resampler is not None)


def with_picture(branch: Branch, encoder: ImageEncoder | None, identity: Tensor, picture: Tensor | None) -> Tensor:
    """What an identity branch reads: the embedding, and for FaceID Plus the face's picture too.

    Args:
        branch: the branch.
        encoder: a CLIP vision model, or None.
        identity: face embeddings [B, E], L2 norm 1; or both as :func:`face_and_picture` joins them.
        picture: crops [B, 3, H, W] in [-1, 1].

    Raises:
        BadInput: if a picture is wanted and there is none, or no encoder.
    """
    if not isinstance(branch.encoder, FaceResampler) or identity.ndim != 2:
        return identity
    if picture is None or encoder is None or not _is_clip(encoder):
        raise BadInput("This identity adapter looks at the face too: give identity_picture, and load a CLIP encoder.")
    check_width(branch, encoder)
    return face_and_picture(identity, expression_features(encoder, picture, inner=True).to(identity.device))


def check_width(branch: Branch, encoder: ImageEncoder | None) -> None:
    """Refuse an image encoder of another width than a branch reads.

    Args:
        branch: any; one that reads no pictures fits every encoder.
        encoder: see :func:`expression_features`, or None.

    Raises:
        BadInput: naming both widths.
    """
    inner = isinstance(branch.encoder, Resampler | FaceResampler)
    if encoder is None or not (inner or branch.kind == "expression"):
        return
    clip = _is_clip(encoder)
    settings = branch.config["encoder_config"] or {}
    if not clip and (inner or settings.get("type") not in (None, "linear")):
        raise BadInput(f"The {branch.label} adapter reads pictures through CLIP's image encoder: load one.")
    if settings.get("type") == "mlp":
        return  # numbers of an expression, not features of a picture
    if clip:
        found = encoder.config.hidden_size if inner else encoder.config.projection_dim
    else:
        found = encoder.config.get("features")
    wanted = branch.encoder.feature_dim if isinstance(branch.encoder, FaceResampler) else _last(branch)
    if found is not None and found != wanted:
        raise BadInput(
            f"The {branch.label} adapter reads features {wanted} wide, and this image encoder's are {found}: give the "
            "encoder that the adapter was made with."
        )


def _last(branch: Branch) -> int:
    return branch.encoder.condition_shape[-1]


def _is_clip(encoder: ImageEncoder) -> TypeIs[CLIPVisionModelWithProjection]:
    return getattr(encoder.config, "model_type", "").startswith("clip")


def _side(encoder: CLIPVisionModelWithProjection) -> int:
    side = encoder.config.image_size
    assert isinstance(side, int)  # CLIP's pictures are square
    return side


def _clip_features(encoder: CLIPVisionModelWithProjection, pixels: Tensor, inner: bool) -> Tensor:
    found = encoder(pixels.to(device=encoder.device, dtype=encoder.dtype), output_hidden_states=inner)
    return found.hidden_states[-2] if inner else found.image_embeds
