"""Whether a prediction shows the right person with the right expression: terms beside a base's diffusion loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.diffusion.inversion import SD_F_MAX, f_of_timestep
from mien.training.bases import base_autoencoder
from mien.training.decoding import decode
from mien.training.heads import FaceHeads
from mien.training.sources import Sources

if TYPE_CHECKING:
    from diffusers import DDPMScheduler


class PerceptualLoss(nn.Module):
    """Two of EmojiDiff's terms, against the picture itself (*ours*: there, one prediction is held against another).

    A diffusion loss weighs a pixel like a pixel, and what makes a person is few of them: the distance between two eyes
    is hardly seen in it. The clean latent that an output stands for is decoded, and frozen networks look at it and at
    the decoded target. Rows beyond R_tmax are left out, as under EmojiDiff's alternative "drop" (suppl. A.1).

    Args:
        sources: where the autoencoder, the identity embedder and the face reader are.
        f_max: f(R_tmax), see `mien.diffusion.inversion`.
    """

    def __init__(self, sources: Sources, f_max: float = SD_F_MAX) -> None:
        super().__init__()
        self.vae = base_autoencoder(sources.path("vae")).float().eval().requires_grad_(False)
        self.heads = FaceHeads(sources.path("identity"), sources.path("reader/face"))
        self.f_max = f_max

    def counted(self, scheduler: DDPMScheduler, timesteps: Tensor) -> Tensor:
        """Which rows are looked at, bool [B]."""
        return f_of_timestep(scheduler, timesteps) <= self.f_max

    def forward(self, clean: Tensor, latents: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """``mean (1 - cos(phi(x), phi(target)))`` and ``mean |b(x) - b(target)|``.

        Args:
            clean: predicted latents [B, C, h, w].
            latents: the targets.
            points: landmarks [B, 478, 3] of the targets, in pixels.
        """
        drawn = decode(self.vae, clean).clamp(-1, 1)
        with torch.no_grad():
            target = decode(self.vae, latents).clamp(-1, 1)
            same, wanted = self.heads.person(target, points), self.heads.expression(target, points)
        identity = 1 - F.cosine_similarity(self.heads.person(drawn, points), same, dim=-1)
        return identity.mean(), (self.heads.expression(drawn, points) - wanted).abs().mean()
