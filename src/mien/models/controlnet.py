"""The studio's ControlNet: a stock diffusers class, the papers' comparison for landmark pictures."""

from __future__ import annotations

from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

_CHANNELS = (16, 32, 96)
"""Of the network that reads the picture: two halvings, as the studio's autoencoder has (diffusers' own has three)."""


def build_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """A new ControlNet that starts as a copy of the UNet's way down and adds nothing yet; explicit attention."""
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=_CHANNELS)
    controlnet.set_attn_processor(AttnProcessor())
    return controlnet
