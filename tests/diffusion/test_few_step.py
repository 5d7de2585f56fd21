"""The target of a few-step student, known by hand, and the solver it is drawn with."""

from __future__ import annotations

import math

import pytest
import torch

from mien.diffusion.few_step import at, ddim_step, few_step_scheduler, landing_target, levels
from mien.diffusion.prediction import PREDICTIONS, Prediction
from tests.tiny import tiny_scheduler


def _full(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value)


@pytest.mark.parametrize(("kind", "wanted"), [("sample", 2.0), ("epsilon", 0.5), ("v_prediction", -0.9)])
def test_the_target_of_a_known_step(kind: Prediction, wanted: float) -> None:
    """x0 = 2 and eps = 0.5 at (a, s) = (0.6, 0.8) is x = 1.6; at (0.8, 0.6) it is x' = 1.9; v = a eps - s x0."""
    wanted = 0.6 * 0.5 - 0.8 * 2 if kind == "v_prediction" else wanted
    before, after = (_full(0.6), _full(0.8)), (_full(0.8), _full(0.6))
    found = landing_target(_full(1.6), _full(1.9), before, after, kind)
    assert float(found) == pytest.approx(wanted, abs=1e-5)


def test_the_last_step_lands_on_the_clean_latent() -> None:
    found = landing_target(_full(5.0), _full(2.0), (_full(0.6), _full(0.8)), (_full(1.0), _full(0.0)), "sample")
    assert float(found) == pytest.approx(2.0)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_a_step_with_the_target_lands(kind: Prediction) -> None:
    scheduler = few_step_scheduler(tiny_scheduler(kind).config)
    scheduler.set_timesteps(4)
    a, s = levels(scheduler)
    start, end = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    steps = torch.tensor([0, 2, 3])
    before, after = (at(a, steps), at(s, steps)), (at(a, steps + 1), at(s, steps + 1))
    target = landing_target(start, end, before, after, kind)
    # at the first step noise is 15 times the signal, and so is the error of x0
    torch.testing.assert_close(ddim_step(target, start, before, after, kind), end, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_solver_makes_the_same_steps(kind: Prediction) -> None:
    """What is trained is what diffusers' scheduler does when a picture is drawn."""
    scheduler = few_step_scheduler(tiny_scheduler(kind).config)
    scheduler.set_timesteps(6)
    assert scheduler.timesteps.tolist() == [999, 832, 666, 499, 332, 166]
    a, s = levels(scheduler)
    assert torch.allclose(a**2 + s**2, torch.ones(7)) and float(s[-1]) == 0
    alpha_bar = scheduler.alphas_cumprod[scheduler.timesteps.long()]
    torch.testing.assert_close(a[:-1] ** 2, alpha_bar, atol=1e-4, rtol=1e-3)
    mine = theirs = torch.randn(2, 3, 4, 4)
    for number, timestep in enumerate(scheduler.timesteps):
        output = torch.randn(mine.shape)
        steps = torch.full((2,), number)
        mine = ddim_step(output, mine, (at(a, steps), at(s, steps)), (at(a, steps + 1), at(s, steps + 1)), kind)
        theirs = scheduler.step(output, timestep, theirs).prev_sample
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-3)


def test_the_teacher_is_of_the_second_order() -> None:
    scheduler = few_step_scheduler({**tiny_scheduler().config, "use_karras_sigmas": True}, order=2)
    assert scheduler.config.solver_order == 2 and not scheduler.config.use_karras_sigmas
    assert scheduler.config.prediction_type == "v_prediction" and not math.isnan(float(scheduler.sigmas[0]))
