"""The studio's UNet: a stock diffusers class, small."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from mien.adapters import unet_config


def build_unet(**changes: Any) -> UNet2DConditionModel:
    """A new UNet, without a GPU with explicit softmax attention (the fused kernel's backward is slow on a CPU).

    Args:
        **changes: of its configuration, as diffusers names them, such as ``block_out_channels``.
    """
    unet = UNet2DConditionModel(**(unet_config("studio") | changes))
    if not torch.cuda.is_available():
        unet.set_attn_processor(AttnProcessor())
    return unet
