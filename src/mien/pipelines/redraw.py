"""Redrawing part of a given picture: SDEdit (Meng et al. 2022, arXiv 2108.01073) inside a region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mien.errors import BadInput
from mien.pipelines.autoencoders import encode_pictures

if TYPE_CHECKING:
    from mien.diffusion.schedulers import Scheduler
    from mien.models.autoencoder import Autoencoder


@dataclass(frozen=True, eq=False)
class Redraw:
    """A picture to begin with.

    Attributes:
        latents: of the picture, [P, C, h, w].
        region: 1 where it is drawn anew, 0 where it stays, [P, 1, h, w].
        strength: share of the denoising steps that is run, above 0 and up to 1 (all: only the rest of the picture
            guides what is drawn).
    """

    latents: Tensor
    region: Tensor
    strength: float

    @classmethod
    def of(cls, vae: Autoencoder, image: Tensor, region: Tensor | None, strength: float, count: int) -> Redraw:
        """Encode a picture.

        Args:
            vae: the base's autoencoder.
            image: [1 or P, 3, H, W] in [-1, 1].
            region: [1 or P, H, W] in [0, 1]; None is everywhere.
            strength: see the class.
            count: P, the pictures that are drawn.

        Raises:
            BadInput: if the strength is out of range, or rows or sides do not fit.
        """
        if not 0.0 < strength <= 1.0:
            raise BadInput(f"strength={strength} is out of range; give a number above 0 and up to 1.")
        region = torch.ones_like(image[:, 0]) if region is None else region.to(image)
        if region.shape[-2:] != image.shape[-2:]:
            sides = f"{tuple(region.shape[-2:])} does not fit a picture of {tuple(image.shape[-2:])}"
            raise BadInput(f"A region of {sides}; give it the picture's sides.")
        if any(count % len(rows) for rows in (image, region)):
            raise BadInput(f"{len(image)} pictures, {len(region)} regions, {count} rows; give 1 or {count} of each.")
        latents = encode_pictures(vae, image.to(vae.dtype)).float()
        # a cell that the region touches at all is drawn anew: half a cell would keep half an eye
        cells = torch.nn.functional.adaptive_max_pool2d(region[:, None].float(), latents.shape[-2:])
        return cls(
            latents.repeat_interleave(count // len(latents), 0),
            cells.to(latents.device).repeat_interleave(count // len(cells), 0),
            strength,
        )

    def begin(self, scheduler: Scheduler, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The noised picture to start from, and the timesteps that are left, of a scheduler whose steps are set."""
        left = max(1, round(len(scheduler.timesteps) * self.strength))
        skipped = len(scheduler.timesteps) - left
        if (begin := getattr(scheduler, "set_begin_index", None)) is not None:
            begin(skipped)
        timesteps = scheduler.timesteps[skipped:]
        return scheduler.add_noise(self.latents, noise, timesteps[:1].repeat(len(noise))), timesteps

    def keep(self, scheduler: Scheduler, latents: Tensor, noise: Tensor, following: Tensor | None) -> Tensor:
        """Put the picture back outside the region, with the noise of the timestep that follows (None: the end)."""
        own = self.latents
        if following is not None:
            own = scheduler.add_noise(own, noise, following[None].repeat(len(noise)))
        return self.region * latents + (1 - self.region) * own
