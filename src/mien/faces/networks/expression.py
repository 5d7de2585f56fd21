"""The studio's expression encoder: it sees a face crop and may keep anything of it, identity too."""

from __future__ import annotations

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from mien.faces.networks.blocks import ConvNorm, Mixer, Residual, Stem, channels_last


class ExpressionEncoder(ModelMixin, ConfigMixin):
    """Face crop -> a sequence of image tokens, the stand-in for CLIP's patch tokens in IP-Adapter.

    Trained to redraw the crop and to let a linear map name all that the renderer knows of it
    (``training.objectives.expression``): what CLIP is for photographs. It learns who the face is as well as what it
    does, so that EmojiDiff's data iteration has something to cure. Tokens have mean 0 and variance 1 at each place: an
    adapter's projection would else be filled with what all faces share.

    Args:
        size: side of the crop, a multiple of 16.
        widths: channels at 1/4 and 1/8.
        features: width of a token.

    Example:
        >>> import torch
        >>> from mien.faces.networks import ExpressionEncoder
        >>> ExpressionEncoder(size=32, widths=(8, 8), features=12).eval()(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 4, 12])
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
        self.norm = nn.BatchNorm1d((size // 16) ** 2 * features, affine=False)

    def forward(self, crops: Tensor) -> Tensor:
        """[B, 3, size, size] in [-1, 1] -> [B, (size / 16)^2, features], row by row from the top left."""
        tokens = self.trunk(channels_last(crops)).flatten(2).transpose(1, 2)
        return self.norm(tokens.flatten(1)).view_as(tokens)
