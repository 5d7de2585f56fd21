"""The diffusion loss all stages share."""

from __future__ import annotations

from typing import Any, Literal

import torch
from diffusers import DDPMScheduler
from torch import Tensor

PredictionType = Literal["v_prediction", "epsilon", "sample"]


def studio_scheduler(prediction_type: PredictionType = "v_prediction") -> DDPMScheduler:
    """The schedule the studio trains on: Stable Diffusion's scaled-linear betas, v-prediction."""
    return DDPMScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        prediction_type=prediction_type,
    )  # fmt: skip


def noisy(scheduler: Any, latents: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw timesteps and noise: (noisy latents, timesteps [B], noise), all on the latents' device."""
    count = scheduler.config["num_train_timesteps"]
    timesteps = torch.randint(0, count, (len(latents),), generator=generator, device=latents.device)
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    return scheduler.add_noise(latents, noise, timesteps), timesteps, noise


def target_of(scheduler: Any, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What the UNet should output, by ``scheduler.config.prediction_type``.

    Raises:
        ValueError: for a prediction type this code does not know.
    """
    kind = scheduler.config["prediction_type"]
    if kind == "v_prediction":
        return scheduler.get_velocity(latents, noise, timesteps)
    if kind == "epsilon":
        return noise
    if kind == "sample":
        return latents
    raise ValueError(f"prediction_type {kind!r} is not supported; use v_prediction, epsilon or sample.")


def snr_weights(scheduler: Any, timesteps: Tensor, gamma: float = 5.0) -> Tensor:
    """Min-SNR-gamma weights [B] (Hang et al. 2023) for the scheduler's prediction type.

    For v-prediction the weight is min(SNR, gamma) / (SNR + 1), doubled and with a floor of 0.1 so that every timestep
    keeps a say (*inferred*; the figures of DESIGN section 3 were measured with it); for epsilon min(SNR, gamma) / SNR.
    """
    alpha = scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
    snr = alpha / (1 - alpha)
    clipped = snr.clamp(max=gamma)
    kind = scheduler.config["prediction_type"]
    if kind == "v_prediction":
        return 2 * clipped / (snr + 1) + 0.1
    return clipped / snr if kind == "epsilon" else clipped


def weighted_mse(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Mean over the batch of each sample's weighted mean squared error."""
    return ((prediction.float() - target.float()).pow(2).flatten(1).mean(1) * weights).mean()
