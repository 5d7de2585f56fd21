"""Making renders look like anything a camera may deliver (domain randomisation), on whole batches of tensors.

Every function takes float pictures [B, 3, H, W] in [-1, 1] and draws from the given generator alone; each picture gets
its own strength. All ranges are ours (*inferred*), wide enough that photographs lie inside.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.faces.alignment import compose, full_precision


class BatchRandom:
    """Random numbers for a batch, on its device."""

    def __init__(self, count: int, generator: torch.Generator, device: torch.device) -> None:
        self.count, self.generator, self.device = count, generator, device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """[B, *shape] in [low, high)."""
        values = torch.rand(self.count, *shape, generator=self.generator, device=self.device)
        return values * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        """[B, *shape] standard normal."""
        return torch.randn(self.count, *shape, generator=self.generator, device=self.device)

    def some(self, probability: float) -> Tensor:
        """[B] booleans, true with the given probability."""
        return self.uniform(0, 1) < probability


def jitter_parts(
    batch_rng: BatchRandom, size: int, *, scale: float, turn: float, shift: float
) -> tuple[Tensor, Tensor]:
    """Random similarities [B, 2, 3] about the middle of a crop, and by how many degrees [B] each turns it clockwise.

    Args:
        batch_rng: randomness.
        size: side of the crop.
        scale: standard deviation of the logarithm of the scale.
        turn: standard deviation of the angle in degrees.
        shift: standard deviation of the shift as a share of the side.
    """
    factor = (batch_rng.normal() * scale).clamp(-2.5 * scale, 2.5 * scale).exp()
    degrees = (batch_rng.normal() * turn).clamp(-3 * turn, 3 * turn)
    angle = degrees * (math.pi / 180)
    cos, sin = factor * angle.cos(), factor * angle.sin()
    linear = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    offset = size / 2 + batch_rng.normal(2) * shift * size - linear.sum(-1) * size / 2
    return torch.cat([linear, offset[..., None]], -1), degrees


def jitter_matrix(
    batch_rng: BatchRandom,
    size: int,
    *,
    scale: float = 0.08,
    turn: float = 6.0,
    shift: float = 0.03,
    flip: Tensor | None = None,
) -> Tensor:
    """As ``jitter_parts``, and mirrored where ``flip`` [B]; for labels that do not care."""
    matrix, _ = jitter_parts(batch_rng, size, scale=scale, turn=turn, shift=shift)
    return matrix if flip is None else compose(mirror_matrix(flip, size), matrix)


def mirror_matrix(flip: Tensor, size: int) -> Tensor:
    """Matrices [B, 2, 3] that mirror left and right where ``flip`` [B]."""
    sign = torch.where(flip, -1.0, 1.0)
    zero = torch.zeros_like(sign)
    shift = torch.where(flip, float(size), 0.0)
    rows = torch.stack([sign, zero, shift], -1), torch.stack([zero, torch.ones_like(sign), zero], -1)
    return torch.stack(rows, -2)


def random_texture(batch_rng: BatchRandom, size: int, channels: int = 3) -> Tensor:
    """Coloured clouds [B, channels, size, size], about -1 to 1: noise of three sizes."""
    texture = batch_rng.normal(channels, 1, 1) * 0.5
    for cells, strength in ((3, 0.4), (9, 0.3), (size // 3, 0.2)):
        noise = batch_rng.normal(channels, cells, cells) * (batch_rng.uniform(0, 1, 1, 1, 1) * strength)
        texture = texture + F.interpolate(noise, size=(size, size), mode="bilinear", align_corners=False)
    return texture.clamp(-1, 1)


def recolour(pictures: Tensor, batch_rng: BatchRandom, strength: float = 1.0) -> Tensor:
    """White balance, gamma, contrast, brightness, saturation, an uneven light, and now and then no colour at all.

    Each picture takes a random share of ``strength``.
    """
    share = batch_rng.uniform(0, 1, 1, 1, 1) * strength
    x = (pictures * 0.5 + 0.5).clamp_(1e-3, 1)
    gains = ((batch_rng.normal(3, 1, 1) * 0.12 + batch_rng.normal(1, 1, 1) * 0.25) * share).exp()
    light = (batch_rng.normal(1, 3, 3) * 0.35 * share).exp()
    light = F.interpolate(light, size=x.shape[-2:], mode="bilinear", align_corners=False)
    x = (x * (gains * light)).clamp_(1e-3, 1.3)
    x = x.pow_((batch_rng.normal(1, 1, 1) * 0.35 * share).exp())
    grey = x.mean(1, keepdim=True)
    saturation = (batch_rng.normal(1, 1, 1) * 0.4 * share).exp().clamp(0.2, 2.0)
    saturation = torch.where(
        batch_rng.some(0.08 * strength)[:, None, None, None], torch.zeros_like(saturation), saturation
    )
    level = grey.mean((2, 3), keepdim=True)
    contrast = (batch_rng.normal(1, 1, 1) * 0.3 * share).exp()
    # saturation turns about each pixel's grey, contrast about the picture's: both are linear, so one pass does
    x = (x * saturation + grey * (1 - saturation)) * contrast + level * (1 - contrast)
    return x.clamp_(0, 1).mul_(2).sub_(1)


def occlude(pictures: Tensor, batch_rng: BatchRandom, probability: float = 0.3) -> Tensor:
    """Lay a random patch (a soft turned ellipse or bar, one colour or clouds) over some of the pictures."""
    chosen = batch_rng.some(probability).nonzero()[:, 0]
    if not len(chosen):
        return pictures
    size = pictures.shape[-1]
    few = BatchRandom(len(chosen), batch_rng.generator, batch_rng.device)
    axis = (torch.arange(size, device=pictures.device) + 0.5) / size
    x, y = axis[None, None, :] - few.uniform(0, 1, 1, 1), axis[None, :, None] - few.uniform(0, 1, 1, 1)
    angle = few.uniform(0, math.pi, 1, 1)
    u, v = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    distance = (u / few.uniform(0.04, 0.35, 1, 1)).square() + (v / few.uniform(0.03, 0.2, 1, 1)).square()
    cover = ((1.15 - distance) * 8).clamp(0, 1)
    result = pictures.clone()
    result[chosen] = torch.lerp(pictures[chosen], random_texture(few, size), cover[:, None])
    return result


def soften(pictures: Tensor, batch_rng: BatchRandom, probability: float = 0.35) -> Tensor:
    """Bring some of the pictures down to a lower resolution and up again, each third of them to another one."""
    size = pictures.shape[-1]
    chosen = batch_rng.some(probability).nonzero()[:, 0]
    result = pictures.clone()
    for part in chosen.chunk(3):
        if len(part):
            share = torch.rand((), generator=batch_rng.generator, device=batch_rng.device).item()
            small = int(size * (0.25 + 0.55 * share))
            low = F.interpolate(pictures[part], size=(small, small), mode="bilinear", antialias=True)
            result[part] = F.interpolate(low, size=(size, size), mode="bilinear", align_corners=False)
    return result


def add_noise(pictures: Tensor, batch_rng: BatchRandom, most: float = 0.15) -> Tensor:
    """Sensor noise of standard deviation 0 to ``most`` (square law: mostly little)."""
    return pictures + batch_rng.normal(*pictures.shape[1:]) * (batch_rng.uniform(0, 1, 1, 1, 1).square() * most)


def compress(pictures: Tensor, batch_rng: BatchRandom, probability: float = 0.3) -> Tensor:
    """JPEG's blocks: round the 8x8 cosine coefficients of some of the pictures (sides must be multiples of 8)."""
    chosen = batch_rng.some(probability).nonzero()[:, 0]
    if not len(chosen):
        return pictures
    step = batch_rng.uniform(0.02, 0.25)[chosen, None, None, None, None, None]
    k = torch.arange(8, device=pictures.device, dtype=pictures.dtype)
    basis = torch.cos(math.pi / 8 * (k[None] + 0.5) * k[:, None]) * 0.5
    basis[0] /= math.sqrt(2)
    coarse = step * (1 + (k[:, None] + k[None]))[:, None, :] / 4  # higher frequencies are rounded more coarsely
    part = pictures[chosen]
    count, channels, height, width = part.shape
    blocks = part.view(count, channels, height // 8, 8, width // 8, 8)
    spectrum = torch.einsum("ui,ncaibj,vj->ncaubv", basis, blocks, basis)
    spectrum = (spectrum / coarse).round() * coarse
    result = pictures.clone()
    result[chosen] = torch.einsum("ui,ncaubv,vj->ncaibj", basis, spectrum, basis).reshape_as(part)
    return result


@full_precision
def photograph(pictures: Tensor, generator: torch.Generator, strength: float = 1.0, occluders: float = 0.3) -> Tensor:
    """Everything above in the order in which a camera does it: light, occluders, blur, noise, compression."""
    batch_rng = BatchRandom(len(pictures), generator, pictures.device)
    x = recolour(pictures, batch_rng, strength)
    if occluders:
        x = occlude(x, batch_rng, occluders)
    x = soften(x, batch_rng, 0.35 * strength)
    x = add_noise(x, batch_rng, 0.15 * strength)
    return compress(x, batch_rng, 0.3 * strength).clamp(-1, 1)
