"""The studio's expression encoder: it sees a face crop and may keep anything of it, identity too."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from mien.faces.networks.blocks import ConvNorm, Mixer, Residual, Stem, channels_last


class ExpressionEncoder(ModelMixin, ConfigMixin):
    """Face crop -> a sequence of image tokens, the stand-in for CLIP's patch tokens in IP-Adapter.

    Trained by masked reconstruction alone (``training.objectives.expression``), so that nothing tells it to forget who
    the face is: EmojiDiff's data iteration has something to cure.

    Args:
        size: side of the crop, a multiple of 16.
        widths: channels at 1/4 and 1/8.
        features: width of a token.
    """

    @register_to_config
    def __init__(self, size: int = 96, widths: tuple[int, int] = (48, 96), features: int = 192) -> None:
        super().__init__()
        low, middle = widths
        self.trunk = nn.Sequential(
            Stem(low),
            ConvNorm(low, middle, 3, 2),
            Residual(middle),
            ConvNorm(middle, features, 2, 2),
            Mixer(features),
            Mixer(features),
        )
        self.position = nn.Parameter(torch.randn(1, (size // 16) ** 2, features) * 0.02)
        self.norm = nn.LayerNorm(features)

    def forward(self, crops: Tensor) -> Tensor:
        """[B, 3, size, size] in [-1, 1] -> [B, (size / 16)^2, features], row by row from the top left."""
        tokens = self.trunk(channels_last(crops)).flatten(2).transpose(1, 2)
        return self.norm(tokens + self.position)
