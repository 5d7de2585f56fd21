"""Adaptive Noise Inversion (EmojiDiff suppl. Eq. 8)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from mien.diffusion import SD_F_MAX, adaptive_noise_inversion, f_of_timestep, timestep_of_f
from tests.tiny import tiny_scheduler

SD_R_TMAX = 600
"""R_tmax of EmojiDiff suppl. A.1, a timestep of SD's schedule."""


def test_f_max_is_f_of_600_on_sds_schedule() -> None:
    scheduler = tiny_scheduler()
    assert float(f_of_timestep(scheduler, torch.tensor(SD_R_TMAX))) == pytest.approx(SD_F_MAX, rel=1e-4)
    assert pytest.approx(2.28, abs=0.005) == SD_F_MAX
    assert timestep_of_f(scheduler) == SD_R_TMAX


def test_the_bound_carries_over_to_another_schedule() -> None:
    linear = DDPMScheduler()
    assert float(f_of_timestep(linear, torch.tensor(600))) == pytest.approx(6.17, abs=0.01)
    last = timestep_of_f(linear)
    f = f_of_timestep(linear, torch.tensor([last, last + 1]))
    assert f[0] <= SD_F_MAX < f[1]
    assert timestep_of_f(linear, 0.0) == 0


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_known_values(kind: Any) -> None:
    """x0_hat = z0 + min(f, f_max) (eps - eps_theta), for a prediction that is off by a known noise."""
    scheduler = tiny_scheduler(kind)
    times = torch.tensor([100, 600, 990])
    generator = torch.Generator().manual_seed(0)
    clean, noise, error = torch.randn(3, 3, 4, 8, 8, generator=generator)
    noisy = scheduler.add_noise(clean, noise, times)
    alpha_bar = scheduler.alphas_cumprod[times][:, None, None, None]
    predicted = noise + 0.1 * error
    x0 = (noisy - (1 - alpha_bar).sqrt() * predicted) / alpha_bar.sqrt()
    velocity = alpha_bar.sqrt() * predicted - (1 - alpha_bar).sqrt() * x0
    output = {"epsilon": predicted, "sample": x0, "v_prediction": velocity}[kind]
    found = adaptive_noise_inversion(clean, noise, output, noisy, times, scheduler)
    f = ((1 - alpha_bar) / alpha_bar).sqrt().clamp(max=SD_F_MAX)
    torch.testing.assert_close(found, clean - f * 0.1 * error, atol=1e-4, rtol=1e-4)
    # below R_tmax, and without a bound everywhere, it is the ordinary one-step estimate (Eq. 5 and 6)
    torch.testing.assert_close(found[:2], x0[:2], atol=1e-3, rtol=1e-3)
    unbounded = adaptive_noise_inversion(clean, noise, output, noisy, times, scheduler, float("inf"))
    torch.testing.assert_close(unbounded, x0, atol=1e-3, rtol=1e-3)


def test_a_perfect_prediction_gives_the_latent() -> None:
    scheduler = tiny_scheduler("epsilon")
    clean, noise = torch.randn(2, 3, 4, 8, 8)
    times = torch.tensor([0, 700, 999])
    found = adaptive_noise_inversion(clean, noise, noise, scheduler.add_noise(clean, noise, times), times, scheduler)
    torch.testing.assert_close(found, clean)


def test_gradient_reaches_the_output_with_the_bounded_factor() -> None:
    scheduler = tiny_scheduler("epsilon")
    clean, noise = torch.randn(2, 2, 1, 2, 2)
    times = torch.tensor([300, 999])
    output = torch.randn(2, 1, 2, 2, requires_grad=True)
    noisy = scheduler.add_noise(clean, noise, times)
    adaptive_noise_inversion(clean, noise, output, noisy, times, scheduler).sum().backward()
    assert output.grad is not None
    expected = -f_of_timestep(scheduler, times).clamp(max=SD_F_MAX)
    torch.testing.assert_close(output.grad[:, 0, 0, 0], expected)
