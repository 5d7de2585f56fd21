"""The studio's ControlNet: a stock diffusers class, the papers' comparison for landmark pictures."""

from __future__ import annotations

from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from mien.errors import ConfigError

_CHANNELS = (16, 32, 96, 256, 256)
"""Of the network that reads the picture: diffusers' own and one more, one halving between each two."""


def build_controlnet(unet: UNet2DConditionModel, factor: int = 8, explicit: bool = True) -> ControlNetModel:
    """A new ControlNet that starts as a copy of the UNet's way down and adds nothing yet.

    Args:
        unet: the base.
        factor: how many times smaller than its picture a latent is: 2, 4, 8 or 16.
        explicit: attention without fused kernels, whose backward is slow on processors.

    Raises:
        ConfigError: if a latent is as large as its picture, or smaller by another factor.
    """
    if factor not in (2, 4, 8, 16):
        raise ConfigError(f"A ControlNet reads pictures 2, 4, 8 or 16 times as large as latents, not {factor} times.")
    channels = _CHANNELS[: factor.bit_length()]
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=channels)
    if explicit:
        controlnet.set_attn_processor(AttnProcessor())
    return controlnet


def blank_picture(controlnet: ControlNetModel, latents: Tensor) -> Tensor:
    """A black picture [B, 3, H, W] in [0, 1], for a ControlNet conditioned by tokens alone (EmojiDiff A.2 b)."""
    halvings = len(controlnet.config["conditioning_embedding_out_channels"]) - 1
    height, width = latents.shape[-2] << halvings, latents.shape[-1] << halvings
    return latents.new_zeros(len(latents), controlnet.config["conditioning_channels"], height, width)
