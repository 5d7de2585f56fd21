"""The studio's ControlNet: a stock diffusers class, the papers' comparison for landmark pictures."""

from __future__ import annotations

from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

_CHANNELS = (16, 32, 96, 256)
"""Of the network that reads the picture: diffusers' own, one halving between each two."""


def build_controlnet(unet: UNet2DConditionModel, factor: int = 8, explicit: bool = True) -> ControlNetModel:
    """A new ControlNet that starts as a copy of the UNet's way down and adds nothing yet.

    Args:
        unet: the base.
        factor: how many times smaller than its picture a latent is: 2, 4 or 8.
        explicit: attention without fused kernels, whose backward is slow on processors.
    """
    channels = _CHANNELS[: factor.bit_length()]
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=channels)
    if explicit:
        controlnet.set_attn_processor(AttnProcessor())
    return controlnet
