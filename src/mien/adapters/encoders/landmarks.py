"""Landmarks: the picture of the drawn landmarks to a sequence of tokens (FaceCrafter's landmark module)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.adapters.encoders.base import ConditionEncoder


class Residual(nn.Module):
    """x + conv(conv(x)), pre-activation; the second convolution starts at zero, so the block starts as identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


def sinusoid_positions(dim: int, size: int) -> Tensor:
    """2-D sine and cosine positions [1, dim, size, size]: half of the channels for y, half for x.

    Wavelengths run geometrically from the whole grid to two cells.
    """
    quarter = dim // 4
    exponent = torch.arange(quarter, dtype=torch.float32) / max(quarter - 1, 1)
    frequency = 2 * math.pi / (size * (2.0 / size) ** exponent)
    wave = torch.arange(size, dtype=torch.float32)[:, None] * frequency
    line = torch.cat([wave.sin(), wave.cos()], dim=1).T  # [2 quarter, size]
    grid = torch.cat([line[:, :, None].expand(-1, size, size), line[:, None, :].expand(-1, size, size)])
    return F.pad(grid, (0, 0, 0, 0, 0, dim - len(grid)))[None]


class LandmarkEncoder(ConditionEncoder):
    """Landmark picture -> small CNN -> flattened sequence with learned 2-D positions.

    FaceCrafter sec. 3.1 says CNN and flatten; the layout is *inferred* from its 11.7 M parameters. The positions
    are ours: a young UNet has no position signal of its own, so the tokens must say where they are. They start as
    sines, smaller than what the picture says, and are learned. Paper is read as 0 and lines as what differs from it,
    so that an empty patch stays empty: read as -1, it filled every token with the same constant, which swamped the
    differences between pictures (their spread is tested).

    Args:
        token_dim: D, width of a token.
        size: side of the picture in pixels.
        unshuffle: side of the patches that become channels first (the picture is sparse lines: nothing is lost).
        channels: widths, the first at size / unshuffle, each further one at half the side before.
        residuals: residual blocks after each width.

    Example:
        >>> import torch
        >>> from mien.adapters.encoders import LandmarkEncoder
        >>> encoder = LandmarkEncoder(token_dim=16, size=32, unshuffle=4, channels=[8, 8], residuals=[0, 1])
        >>> encoder(torch.zeros(1, 3, 32, 32)).shape, encoder.grid
        (torch.Size([1, 16, 16]), 4)
    """

    def __init__(
        self, token_dim: int, size: int, unshuffle: int, channels: Sequence[int], residuals: Sequence[int]
    ) -> None:
        super().__init__()
        if len(channels) != len(residuals):
            raise TypeError(f"{len(channels)} channels but {len(residuals)} residuals")
        self.size = size
        self.condition_shape = (3, size, size)
        layers: list[nn.Module] = [nn.PixelUnshuffle(unshuffle)]
        width = 3 * unshuffle**2
        for stage, (channel, count) in enumerate(zip(channels, residuals, strict=True)):
            layers.append(nn.Conv2d(width, channel, 3, stride=1 if stage == 0 else 2, padding=1))
            layers.extend(Residual(channel) for _ in range(count))
            width = channel
        layers += [nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, token_dim, 1), nn.GroupNorm(1, token_dim)]
        self.net = nn.Sequential(*layers)
        for layer in self.net.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.zeros_(cast(Tensor, layer.bias))
        self.grid = grid = size // unshuffle // 2 ** (len(channels) - 1)
        self.positions = nn.Parameter(0.5 * sinusoid_positions(token_dim, grid))

    def forward(self, picture: Tensor) -> Tensor:
        """Landmark picture [B, 3, size, size] in [-1, 1] -> tokens [B, N, D], N in row-major order."""
        if picture.shape[-2:] != (self.size, self.size):
            whole = picture.float()  # bfloat16 has no such filter on the CPU
            resized = F.interpolate(whole, size=(self.size, self.size), mode="bilinear", antialias=True)
            picture = resized.to(picture.dtype)
        content = self.net((picture + 1) / 2)
        return (content + self.positions).flatten(2).transpose(1, 2)

    def null(self, batch: int) -> Tensor:
        """A picture without a line: black [B, 3, size, size], -1."""
        return -torch.ones(batch, *self.condition_shape)
