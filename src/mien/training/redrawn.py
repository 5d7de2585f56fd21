"""Latents as a base makes them, for a decoder that has to draw from such."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from mien.core.modules import placed
from mien.diffusion.prediction import to_x0
from mien.models.text import encode_ids
from mien.training.bases import base_scheduler, base_tokenizer
from mien.training.diffusion import noisy
from mien.training.sources import Sources
from mien.training.texts import frozen_texts


class Redrawn:
    """Latents that are noised to some timestep and denoised by the base in one step, without words (*ours*).

    What a base predicts is smoother than what it was shown, the more so the more noise there was: a decoder that sees
    such latents beside the sharp pictures they come from learns to put the texture back.

    Args:
        sources: where the base is.
        until: timesteps are drawn below this one.
    """

    def __init__(self, sources: Sources, until: int) -> None:
        self.until, self.scheduler = until, base_scheduler(sources)
        unet = UNet2DConditionModel.from_pretrained(sources.path("unet"))
        self.unet = placed(unet.float().eval().requires_grad_(False), memory_format=torch.channels_last)
        tokenizer, (text_encoder, _) = base_tokenizer(sources.path("tokenizer")), frozen_texts(sources, "studio")
        ids = tokenizer("", padding="max_length", truncation=True, return_tensors="pt").input_ids
        with torch.no_grad():
            self.states = encode_ids(text_encoder, ids, None, -1)

    @torch.no_grad()
    def __call__(self, latents: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Normalised latents [B, C, h, w] with the base's guess at them in some rows.

        Args:
            latents: of pictures.
            rows: which, bool [B].
            generator: of timesteps and noise, the same whatever the rows.
        """
        if self.unet.device != latents.device:
            placed(self.unet, device=latents.device)
            self.states = self.states.to(latents.device)
        every, timesteps, _ = noisy(self.scheduler, latents, generator, until=self.until)
        if not rows.any():
            return latents
        shown, timesteps = every[rows], timesteps[rows]
        states = self.states.expand(len(shown), -1, -1)
        output = self.unet(shown.contiguous(memory_format=torch.channels_last), timesteps, states).sample
        guessed = latents.clone()
        guessed[rows] = to_x0(output.float(), shown, timesteps, self.scheduler)
        return guessed
