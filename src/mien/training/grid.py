"""The same held-out pictures drawn again and again while a run goes on: what it has learnt, to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mien.core.modules import placed
from mien.core.pixels import tensor_to_pictures
from mien.training.bases import base_autoencoder
from mien.training.frozen_base import FrozenBase, Selection
from mien.training.prompts import Kind
from mien.training.validation import held_out_rows

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.models.autoencoder import Autoencoder
    from mien.training.objective import Objective

STEPS = 12
"""Denoising steps of a picture, by a solver of the second order."""
Picture = np.ndarray


@torch.no_grad()
def picture_grid(objective: Objective, corpus: Corpus, count: int) -> Picture | None:
    """Held-out pictures, and each drawn under its conditions and under those of the next one, without guidance.

    The noise is the same at every call, so that two grids of a run differ by what it learnt between them.

    Args:
        objective: a stage on a frozen base; the weights to be shown are in place.
        corpus: with held-out people.
        count: columns.

    Returns:
        uint8 [3 S, count S, 3]: the pictures as they are, drawn, drawn with another's conditions; None where the stage
        draws nothing, or nobody is held out.
    """
    stage: Any = objective
    base, held_out = getattr(objective, "base", None), corpus.held_out if corpus is not None else None
    if not count or held_out is None or not isinstance(base, FrozenBase) or not hasattr(stage, "gather"):
        return None
    rows, other, _ = held_out_rows(held_out, count)
    kinds = np.full(len(rows), Kind.IDENTITY)
    batch = base.here(stage.gather(Selection(base.examples_of(held_out), rows, other, kinds, kinds >= 0)))
    others = {name: values.roll(1, 0) for name, values in batch.items()}
    vae = placed(base_autoencoder(base.sources.path("vae")), device=batch["latents"].device)
    lines = [_decoded(vae, latents) for latents in (batch["latents"], _drawn(stage, batch), _drawn(stage, others))]
    return np.concatenate([np.concatenate(line, 1) for line in lines], 0)


def _drawn(stage: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    from diffusers import DPMSolverMultistepScheduler

    solver: Any = DPMSolverMultistepScheduler.from_config(stage.base.scheduler.config, timestep_spacing="trailing")
    solver.set_timesteps(STEPS, device=batch["latents"].device)
    latents = batch["latents"]
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0)).to(latents.device)
    for step in solver.timesteps:
        output = stage.predict(batch, noise, step.expand(len(noise))).float()
        noise = solver.step(output, step, noise).prev_sample
    return noise


def _decoded(vae: Autoencoder, latents: torch.Tensor) -> list[Picture]:
    from mien.pipelines.autoencoders import decode_latents

    return [np.asarray(picture) for one in latents.split(4) for picture in tensor_to_pictures(decode_latents(vae, one))]
