from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from mien.training.diffusion import (
    BetaSchedule,
    PredictionType,
    as_noisy,
    diffusion_loss,
    errors_by_timestep,
    loss_weights,
    noisy,
    studio_scheduler,
    target_of,
    velocity_of,
    weighted_mse,
)

SCHEDULES: tuple[BetaSchedule, ...] = ("scaled_linear", "linear", "squaredcos_cap_v2")


def test_latents_are_not_clamped_to_the_range_of_pictures() -> None:
    assert not studio_scheduler().config["clip_sample"]


def test_weights_are_min_snr() -> None:
    scheduler = studio_scheduler()
    timesteps = torch.tensor([0, 500, 999])
    snr = scheduler.alphas_cumprod[timesteps] / (1 - scheduler.alphas_cumprod[timesteps])
    expected = 2 * snr.clamp(max=5) / (snr + 1) + 0.1
    torch.testing.assert_close(loss_weights(scheduler, timesteps, gamma=5.0), expected)
    epsilon = studio_scheduler("epsilon")
    torch.testing.assert_close(loss_weights(epsilon, timesteps, gamma=5.0), snr.clamp(max=5) / snr)


def test_all_timesteps_weigh_alike_by_default() -> None:
    assert torch.equal(loss_weights(studio_scheduler(), torch.tensor([0, 500, 999])), torch.ones(3))


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon", "sample"])
@pytest.mark.parametrize("step", [20, 500, 900])
def test_every_prediction_stands_for_a_velocity(kind: PredictionType, step: int) -> None:
    scheduler: Any = studio_scheduler(kind)
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 3, 4, 8, 8, generator=generator, dtype=torch.float64)
    steps = torch.full((3,), step)
    noised = scheduler.add_noise(latents, noise, steps)
    found = velocity_of(scheduler, target_of(scheduler, latents, noise, steps), noised, step)
    torch.testing.assert_close(found, scheduler.get_velocity(latents, noise, steps), rtol=1e-4, atol=1e-4)


def test_errors_by_timestep_compare_models_under_the_same_noise() -> None:
    scheduler = studio_scheduler()
    latents = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    seen: list[torch.Tensor] = []

    def exact(noised: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The velocity of the true latents."""
        seen.append(noised)
        alpha = scheduler.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        noise = (noised - alpha.sqrt() * latents) / (1 - alpha).sqrt()
        return alpha.sqrt() * noise - (1 - alpha).sqrt() * latents

    assert errors_by_timestep(scheduler, latents, exact) == pytest.approx({900: 0, 600: 0, 300: 0}, abs=1e-8)
    off = errors_by_timestep(scheduler, latents, lambda noised, steps: exact(noised, steps) + 2.0, (900,))
    assert off == pytest.approx({900: 4.0}, rel=1e-4)
    assert torch.equal(seen[0], seen[3])


def test_the_schedules_are_those_of_their_papers() -> None:
    share = {name: studio_scheduler(beta_schedule=name).alphas_cumprod for name in SCHEDULES}
    betas = torch.linspace(0.0001, 0.02, 1000)
    torch.testing.assert_close(share["linear"], (1 - betas).cumprod(0), rtol=1e-4, atol=1e-6)
    cosine = lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2  # noqa: E731 - Nichol & Dhariwal, Eq. 17
    assert share["squaredcos_cap_v2"][499].item() == pytest.approx(cosine(0.5) / cosine(0), rel=1e-3)
    assert share["scaled_linear"][600].item() == pytest.approx(1 / (1 + 2.28**2), rel=5e-3)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_are_compared_at_the_same_noise(schedule: BetaSchedule) -> None:
    scheduler = studio_scheduler(beta_schedule=schedule)
    for step in (300, 600, 900):
        at = as_noisy(scheduler, step)
        assert (at == step) == (schedule == "scaled_linear")
        shares = scheduler.alphas_cumprod[at].item(), studio_scheduler().alphas_cumprod[step].item()
        assert shares[0] == pytest.approx(shares[1], abs=2e-3)


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon", "sample"])
def test_targets_follow_the_prediction_type(kind: PredictionType) -> None:
    scheduler = studio_scheduler(kind)
    latents, noise, t = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([10, 900])
    alpha = scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    expected = {
        "v_prediction": alpha.sqrt() * noise - (1 - alpha).sqrt() * latents,
        "epsilon": noise,
        "sample": latents,
    }
    torch.testing.assert_close(target_of(scheduler, latents, noise, t), expected[kind])


def test_noise_depends_on_the_generator_alone() -> None:
    latents = torch.randn(3, 4, 8, 8)
    scheduler = studio_scheduler()
    one = noisy(scheduler, latents, torch.Generator().manual_seed(5))
    two = noisy(scheduler, latents, torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_weighted_mse_weighs_samples() -> None:
    prediction, target = torch.zeros(2, 1, 2, 2), torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    assert weighted_mse(prediction, target, torch.tensor([3.0, 0.5]).view(2, 1, 1)).item() == pytest.approx(
        (3 * 1 + 0.5 * 4) / 2
    )


def test_places_move_the_weight_and_not_its_sum() -> None:
    """An error in half of the picture counts by the weight of that half; equal weights change nothing."""
    scheduler, latents = studio_scheduler(), torch.zeros(2, 3, 4, 4)
    target = torch.zeros(2, 3, 4, 4)

    def loss(places: torch.Tensor | None) -> float:
        def wrong_on_the_left(noised: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
            noise = noised / (1 - scheduler.alphas_cumprod[timesteps]).sqrt().view(-1, 1, 1, 1)
            target.copy_(target_of(scheduler, latents, noise, timesteps))
            return target + torch.tensor([1.0, 1.0, 0.0, 0.0])

        generator = torch.Generator().manual_seed(0)
        return diffusion_loss(scheduler, latents, wrong_on_the_left, generator, places=places).item()

    left = torch.tensor([3.0, 3.0, 1.0, 1.0]).expand(2, 4, 4)
    assert loss(None) == pytest.approx(0.5, rel=1e-4)
    assert loss(torch.full((2, 4, 4), 7.0)) == pytest.approx(0.5, rel=1e-4)
    assert loss(left) == pytest.approx(0.75, rel=1e-4)
