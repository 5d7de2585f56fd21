"""The studio's UNet: a stock diffusers class, small."""

from __future__ import annotations

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from mien.adapters import unet_config


def build_unet() -> UNet2DConditionModel:
    """A new UNet with explicit softmax attention (the fused kernel's backward pass is slow on a CPU)."""
    unet = UNet2DConditionModel(**unet_config("studio"))
    unet.set_attn_processor(AttnProcessor())
    return unet
