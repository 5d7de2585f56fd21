"""The diffusion loss all stages share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from mien.diffusion.schedulers import TrainingScheduler
from mien.training.parts import rows_of

PredictionType = Literal["v_prediction", "epsilon", "sample"]
BetaSchedule = Literal["scaled_linear", "linear", "squaredcos_cap_v2"]

TimestepSampling = Literal["uniform", "logit_normal"]
"""``logit_normal``: more often in the middle of the schedule (SD3, arXiv 2403.03206, Eq. 19, m = 0, s = 1)."""


def studio_scheduler(
    prediction_type: PredictionType = "v_prediction", beta_schedule: BetaSchedule = "scaled_linear"
) -> DDPMScheduler:
    """The schedule the studio trains on: Stable Diffusion's scaled-linear betas, v-prediction.

    Args:
        prediction_type: what the UNet predicts.
        beta_schedule: another shape of the noise: DDPM's linear one (Ho et al. 2020) or the cosine (Nichol & Dhariwal
            2021).
    """
    start, end = (0.0001, 0.02) if beta_schedule == "linear" else (0.00085, 0.012)
    return DDPMScheduler(
        num_train_timesteps=1000, beta_start=start, beta_end=end, beta_schedule=beta_schedule,
        prediction_type=prediction_type, clip_sample=False,  # latents are not pictures in [-1, 1]
    )  # fmt: skip


def noisy(
    scheduler: TrainingScheduler,
    latents: Tensor,
    generator: torch.Generator,
    sampling: TimestepSampling = "uniform",
    until: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw timesteps and noise: (noisy latents, timesteps [B], noise), all on the latents' device.

    Of a part of a batch they are those that the whole batch would have in these rows (`mien.training.parts`).

    Args:
        scheduler: adds the noise.
        latents: [B, C, h, w].
        generator: of both.
        sampling: how timesteps are drawn.
        until: they lie below this one; None takes all.
    """
    count, size, device = until or scheduler.config["num_train_timesteps"], latents.shape[1:], latents.device

    def drawn(rows: int, source: torch.Generator) -> Tensor:
        if sampling == "uniform":
            return torch.randint(0, count, (rows,), generator=source, device=device)
        normal = torch.randn(rows, generator=source, device=device)
        return (normal.sigmoid() * count).long().clamp(max=count - 1)

    timesteps = rows_of(drawn, len(latents), generator)
    noise = rows_of(
        lambda rows, source: torch.randn(rows, *size, generator=source, device=device), len(latents), generator
    )
    return scheduler.add_noise(latents, noise, timesteps), timesteps, noise


def target_of(scheduler: TrainingScheduler, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
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


def loss_weights(scheduler: TrainingScheduler, timesteps: Tensor, gamma: float | None = None) -> Tensor:
    """Weights [B] of the squared errors.

    Args:
        scheduler: with its prediction type.
        timesteps: [B].
        gamma: None weighs all alike. A number gives min-SNR-gamma weights (Hang et al. 2023): for v-prediction
            min(SNR, gamma) / (SNR + 1), doubled, on a floor of 0.1 (*inferred*); for epsilon min(SNR, gamma) / SNR.
            They learn detail first; what a condition decides is decided at high noise (docs/studio-training.md).
    """
    if gamma is None:
        return torch.ones(timesteps.shape, device=timesteps.device)
    alpha = scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
    snr = alpha / (1 - alpha)
    clipped = snr.clamp(max=gamma)
    kind = scheduler.config["prediction_type"]
    if kind == "v_prediction":
        return 2 * clipped / (snr + 1) + 0.1
    return clipped / snr if kind == "epsilon" else clipped


def diffusion_loss(
    scheduler: TrainingScheduler,
    latents: Tensor,
    predict: Callable[[Tensor, Tensor], Tensor],
    generator: torch.Generator,
    gamma: float | None = None,
    places: Tensor | None = None,
) -> Tensor:
    """Loss of ``predict(noised, timesteps)`` at random timesteps.

    Args:
        scheduler: with its prediction type.
        latents: [B, C, h, w].
        predict: the model.
        generator: of timesteps and noise.
        gamma: see :func:`loss_weights`.
        places: see :func:`loss_of`.
    """
    noised, timesteps, noise = noisy(scheduler, latents, generator)
    return loss_of(scheduler, predict(noised, timesteps), latents, noise, timesteps, gamma, places)


def loss_of(
    scheduler: TrainingScheduler,
    output: Tensor,
    latents: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    gamma: float | None = None,
    places: Tensor | None = None,
) -> Tensor:
    """Loss of a model's output.

    Args:
        scheduler: with its prediction type.
        output: [B, C, h, w].
        latents: [B, C, h, w], without noise.
        noise: what was added to them.
        timesteps: [B].
        gamma: see :func:`loss_weights`.
        places: weights [B, h, w] of the positions, whose mean over the batch is brought to 1. They decide where
            a small model spends its capacity; the optimum of an exact one is the same.
    """
    weights = loss_weights(scheduler, timesteps, gamma)[:, None, None]
    if places is not None:
        weights = weights * (places / places.mean())
    return weighted_mse(output, target_of(scheduler, latents, noise, timesteps), weights)


@torch.no_grad()
def errors_by_timestep(
    scheduler: TrainingScheduler,
    latents: Tensor,
    predict: Callable[[Tensor, Tensor], Tensor],
    timesteps: Sequence[int] = (900, 600, 300),
) -> dict[int, float]:
    """Mean squared error of ``predict(noised, timesteps)`` at some timesteps, under the same noise at every call.

    Whatever the model predicts, the error is that of the velocity it stands for, so that models can be compared. The
    gap between right and shuffled conditions shows how much a model follows them, and at which noise.

    Args:
        scheduler: with its prediction type.
        latents: [B, C, h, w].
        predict: the model.
        timesteps: of the studio's schedule; on another one, those with as much noise (:func:`as_noisy`).
    """
    errors = {}
    for step in timesteps:
        generator = torch.Generator(latents.device).manual_seed(step)
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        at = as_noisy(scheduler, step)
        steps = torch.full((len(latents),), at, device=latents.device)
        noised = scheduler.add_noise(latents, noise, steps)
        found = velocity_of(scheduler, predict(noised, steps).float(), noised, at)
        errors[step] = float((found - scheduler.get_velocity(latents, noise, steps)).pow(2).mean())
    return errors


def as_noisy(scheduler: TrainingScheduler, step: int) -> int:
    """The timestep whose share of noise is nearest to that of timestep ``step`` of the studio's schedule."""
    wanted = studio_scheduler().alphas_cumprod[step]
    return int((scheduler.alphas_cumprod.to(wanted.device) - wanted).abs().argmin())


def velocity_of(scheduler: TrainingScheduler, output: Tensor, noised: Tensor, step: int) -> Tensor:
    """The velocity alpha noise - sigma latents (Salimans & Ho 2022) that an output stands for.

    Args:
        scheduler: with its prediction type.
        output: [B, C, h, w], of a model.
        noised: [B, C, h, w], what the model saw.
        step: timestep.
    """
    kind = scheduler.config["prediction_type"]
    if kind == "v_prediction":
        return output
    alpha = scheduler.alphas_cumprod[step].sqrt().item()
    sigma = (1 - alpha**2) ** 0.5
    return (output - sigma * noised) / alpha if kind == "epsilon" else (alpha * noised - output) / sigma


def weighted_mse(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Mean of the squared errors [B, C, h, w] times weights [B, h, w] or [B, 1, 1]."""
    return ((prediction.float() - target.float()).pow(2).mean(1) * weights).mean()
