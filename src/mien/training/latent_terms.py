"""What makes latents easier to diffuse: transforms that act alike on pictures and latents, and a face network's map."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SCALES = (0.5, 0.75, 1.0)
"""Factors by which a latent grid is made smaller; a grid of 16 stays one of whole positions."""


def transformed(latents: Tensor, pictures: Tensor, scale: float, turns: int) -> tuple[Tensor, Tensor]:
    """One and the same scaling and turn of latents and of pictures (EQ-VAE, arXiv 2502.09509, Eq. 5).

    Args:
        latents: [B, C, h, w].
        pictures: [B, 3, H, W].
        scale: at most 1.
        turns: quarter turns.
    """
    if scale != 1.0:
        side = round(latents.shape[-1] * scale)
        patch = pictures.shape[-1] // latents.shape[-1]
        latents = F.interpolate(latents, size=(side, side), mode="bilinear", antialias=True)
        pictures = F.interpolate(pictures, size=(side * patch, side * patch), mode="bilinear", antialias=True)
    return torch.rot90(latents, turns, (2, 3)), torch.rot90(pictures, turns, (2, 3))


def feature_alignment(latents: Tensor, features: Tensor, margin: float = 0.5, margin_pairs: float = 0.25) -> Tensor:
    """How far projected latents are from a frozen network's features (VA-VAE, arXiv 2501.01423, Eq. 2 and 3).

    The mean over positions of ``relu(1 - margin - cos(z, f))`` plus that over pairs of positions of
    ``relu(|cos(z_i, z_j) - cos(f_i, f_j)| - margin_pairs)``.

    Args:
        latents: projected to the features' width, [B, D, h, w].
        features: [B, D, h, w].
        margin: cosine distance at a position that costs nothing.
        margin_pairs: difference of two cosines that costs nothing.
    """
    z, f = (F.normalize(part.float().flatten(2), dim=1) for part in (latents, features))
    places = F.relu(1 - margin - (z * f).sum(1)).mean()
    alike = [part.transpose(1, 2) @ part for part in (z, f)]
    return places + F.relu((alike[0] - alike[1]).abs() - margin_pairs).mean()


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, exp(log_variance)) from N(0, 1), a mean over all numbers."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
