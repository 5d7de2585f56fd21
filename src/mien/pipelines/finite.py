"""Pictures that are not finite: they are refused, with what made them so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mien.core.weights import check_finite
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline


def check_drawn(pipeline: PortraitPipeline, values: Tensor) -> Tensor:
    """Latents or pictures as they are, if all of them are numbers.

    The weights of a base are looked at only here, once something is wrong: a whole SDXL takes seconds.

    Args:
        pipeline: what drew them.
        values: latents or decoded pictures.

    Raises:
        ConfigError: naming the part whose weights are not finite.
        MienError: if none is to blame but the arithmetic.
    """
    if bool(torch.isfinite(values).all()):
        return values
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    for name, part in {**parts, **pipeline.adapters}.items():
        check_finite(f"The {name} of this base", {**dict(part.named_parameters()), **dict(part.named_buffers())})
    if pipeline.unet.dtype == torch.float16:
        raise MienError("The picture overflowed in float16: draw with --precision bf16 or fp32.")
    raise MienError("The picture is not finite: use smaller weights of guidance and LoRA, or another sampler.")
