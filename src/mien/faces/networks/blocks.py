"""Building blocks of the small face networks: quick in bf16, channels last, on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch normalisation, and SiLU where ``active``."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, groups: int = 1, active: bool = True
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *([nn.SiLU(inplace=True)] if active else []))


class Residual(nn.Module):
    """silu(x + conv(conv(x))), two dense 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = ConvNorm(channels, channels, active=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return F.silu(x + self.second(self.first(x)))


class Mixer(nn.Module):
    """x + pointwise(silu(pointwise(depthwise(x)))): wide reach for few parameters."""

    def __init__(self, channels: int, kernel: int = 5, expansion: int = 2) -> None:
        super().__init__()
        self.spread = ConvNorm(channels, channels, kernel, groups=channels, active=False)
        self.widen = nn.Conv2d(channels, channels * expansion, 1)
        self.narrow = nn.Conv2d(channels * expansion, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return x + self.narrow(F.silu(self.widen(self.spread(x))))


class Stem(nn.Sequential):
    """4x4 pixel blocks to channels, then a 3x3 convolution: [B, 3, H, W] -> [B, C, H/4, W/4]."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.PixelUnshuffle(4), ConvNorm(48, channels))


def channels_last(x: Tensor) -> Tensor:
    """The layout in which the CPU's convolutions are quickest."""
    return x.contiguous(memory_format=torch.channels_last)
