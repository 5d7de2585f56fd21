"""Face crops to the features an expression branch reads."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.errors import BadInput

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def expression_features(encoder: Any, expression: Tensor) -> Tensor:
    """Features of face crops.

    Args:
        encoder: the studio's expression encoder (crops in [-1, 1] -> tokens [B, N, F]), or a transformers CLIP vision
            model (pooled embeddings [B, F], as IP-Adapter takes them).
        expression: crops [B, 3, H, W] in [-1, 1]; features [B, F] or [B, N, F] are returned as they are.

    Raises:
        BadInput: if crops are given but there is no encoder.
    """
    if expression.ndim != 4:
        return expression
    if encoder is None:
        raise BadInput("This base has no expression encoder; give the features of the face instead of its picture.")
    clip = getattr(encoder.config, "model_type", "").startswith("clip")
    size = encoder.config.image_size if clip else encoder.config.get("image_size", expression.shape[-1])
    if expression.shape[-2:] != (size, size):
        expression = F.interpolate(
            expression, size=(size, size), mode="bicubic" if clip else "bilinear", antialias=True
        )
    if clip:
        mean, std = (torch.tensor(x, device=expression.device)[:, None, None] for x in (_CLIP_MEAN, _CLIP_STD))
        expression = ((expression + 1) / 2 - mean) / std
    found = encoder(expression.to(device=encoder.device, dtype=encoder.dtype))
    return found.image_embeds if clip else found
