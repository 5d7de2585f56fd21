"""Noise, clean latent and velocity follow from each other."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, EulerDiscreteScheduler

from mien.diffusion import convert, signal_and_noise, to_epsilon, to_v, to_x0
from mien.diffusion.prediction import PREDICTIONS
from mien.errors import ConfigError
from tests.tiny import tiny_scheduler

TIMES = torch.tensor([0, 400, 999])


def truth() -> dict[str, torch.Tensor]:
    """A latent, its noise, its velocity as diffusers defines it, and the noisy latent."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=generator)
    scheduler = tiny_scheduler()
    return {
        "sample": clean,
        "epsilon": noise,
        "v_prediction": scheduler.get_velocity(clean, noise, TIMES),
        "noisy": scheduler.add_noise(clean, noise, TIMES),
    }


@pytest.mark.parametrize(("source", "target"), list(product(PREDICTIONS, PREDICTIONS)))
def test_every_conversion_matches_diffusers(source: Any, target: Any) -> None:
    values = truth()
    a, s = signal_and_noise(tiny_scheduler(), TIMES)
    found = convert(values[source], values["noisy"], a, s, source, target)
    # s = 0.03 at t = 0 and a = 0.07 at t = 999 multiply float32's rounding
    torch.testing.assert_close(found, values[target], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_the_schedulers_prediction_type_is_honoured(kind: Any) -> None:
    values = truth()
    arguments = (values[kind].bfloat16().float(), values["noisy"], TIMES, tiny_scheduler(kind))
    for function, target in ((to_epsilon, "epsilon"), (to_x0, "sample"), (to_v, "v_prediction")):
        assert function(*arguments).dtype == torch.float32
        exact = function(values[kind], *arguments[1:])
        torch.testing.assert_close(exact, values[target], atol=2e-5, rtol=1e-4)


def test_half_precision_is_lifted() -> None:
    values = truth()
    found = to_x0(values["v_prediction"].bfloat16(), values["noisy"].bfloat16(), TIMES, tiny_scheduler())
    assert found.dtype == torch.float32


def test_a_scaled_euler_latent_is_variance_preserving() -> None:
    """What Euler's scale_model_input returns may be handed to the conversions."""
    values = truth()
    euler: Any = EulerDiscreteScheduler.from_config(tiny_scheduler("epsilon").config)
    euler.set_timesteps(timesteps=[400])
    sigma = euler.sigmas[0]
    scaled = euler.scale_model_input(values["sample"] + sigma * values["epsilon"], euler.timesteps[0])
    found = to_x0(values["epsilon"], scaled, torch.tensor(400), euler)
    torch.testing.assert_close(found, values["sample"], atol=1e-5, rtol=1e-4)


def test_unknown_types_are_refused() -> None:
    scheduler = SimpleNamespace(
        config=SimpleNamespace(prediction_type="flow"), alphas_cumprod=DDPMScheduler().alphas_cumprod
    )
    with pytest.raises(ConfigError, match="flow"):
        to_x0(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8), torch.tensor(3), scheduler)  # type: ignore


def test_gradients() -> None:
    a, s = (x.double() for x in signal_and_noise(tiny_scheduler(), torch.tensor([300])))
    output = torch.randn(1, 1, 2, 2, dtype=torch.float32, requires_grad=True)
    for source, target in product(PREDICTIONS, PREDICTIONS):
        found = convert(output, torch.zeros(1, 1, 2, 2), a.float(), s.float(), source, target)
        (gradient,) = torch.autograd.grad(found.sum(), output)
        other = convert(output + 1, torch.zeros(1, 1, 2, 2), a.float(), s.float(), source, target)
        torch.testing.assert_close(gradient, (other - found).detach(), atol=1e-4, rtol=1e-4)
