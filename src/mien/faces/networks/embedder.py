"""Who a face is: an embedding trained with a margin loss on studio people."""

from __future__ import annotations

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.networks.blocks import ConvNorm, Mixer, Residual, Stem, channels_last


class IdentityEmbedder(ModelMixin, ConfigMixin):
    """Aligned face crop -> identity embedding.

    The last map is reduced by one filter a channel and place, not by a mean: in an aligned crop the places mean
    something (MobileFaceNet's global depthwise convolution).

    Args:
        size: side of the crop, a multiple of 16.
        widths: channels at 1/4, 1/8 and 1/16 of it.
        depths: dense blocks at 1/8 and depthwise blocks at 1/16.
        embedding: length of the embedding.

    Example:
        >>> import torch
        >>> from mien.faces.networks import IdentityEmbedder
        >>> embedder = IdentityEmbedder(size=32, widths=(8, 8, 8), depths=(1, 1)).eval()
        >>> embedder(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 512])
    """

    @register_to_config
    def __init__(
        self,
        size: int = 96,
        widths: tuple[int, int, int] = (48, 128, 224),
        depths: tuple[int, int] = (2, 2),
        embedding: int = 512,
    ) -> None:
        super().__init__()
        low, middle, high = widths
        self.trunk = nn.Sequential(
            Stem(low),
            ConvNorm(low, middle, 3, 2),
            *(Residual(middle) for _ in range(depths[0])),
            ConvNorm(middle, high, 2, 2),
            *(Mixer(high) for _ in range(depths[1])),
        )
        self.gather = ConvNorm(high, high, size // 16, groups=high, active=False)
        self.gather[0].padding = (0, 0)  # type: ignore[assignment] - one output place
        self.project = nn.Linear(high, embedding)

    def forward(self, crops: Tensor) -> Tensor:
        """[B, 3, size, size] in [-1, 1] -> float32 [B, 512] of L2 norm 1."""
        features = self.gather(self.trunk(channels_last(crops))).flatten(1)
        return F.normalize(self.project(features).float(), dim=-1)
