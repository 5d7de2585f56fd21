"""Samplers by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, PNDMScheduler

from mien.errors import BadInput
from mien.generation.request import Scheduler
from mien.pipelines.schedulers import sampling_with, with_steps
from tests.tiny import tiny_pipeline


@pytest.mark.parametrize("name", get_args(Scheduler))
def test_a_sampler_keeps_the_noise_schedule_and_goes_again(name: str) -> None:
    own = DPMSolverMultistepScheduler(prediction_type="v_prediction", beta_schedule="scaled_linear", beta_end=0.012)
    pipeline = SimpleNamespace(scheduler=own)
    with sampling_with(pipeline, name):  # type: ignore
        other = pipeline.scheduler
        assert other is not own and name[:3] in type(other).__name__.lower()
        for setting in ("prediction_type", "beta_schedule", "beta_end", "num_train_timesteps"):
            assert other.config[setting] == own.config[setting]
    assert pipeline.scheduler is own
    with sampling_with(pipeline, None):  # type: ignore
        assert pipeline.scheduler is own


@pytest.mark.parametrize("name", ["ddim", "ddpm", "lcm"])  # the others know no such setting
def test_no_sampler_clamps_latents_to_the_range_of_pictures(name: str) -> None:
    own: Any = DPMSolverMultistepScheduler.from_config({"prediction_type": "v_prediction", "clip_sample": True})
    assert own.config["clip_sample"], "as in folders that were saved from DDPM's scheduler"
    pipeline = SimpleNamespace(scheduler=own)
    with sampling_with(pipeline, name):  # type: ignore
        assert not pipeline.scheduler.config.get("clip_sample")


SCHEDULE: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
PUBLISHED: dict[str, Any] = {
    "studio": DPMSolverMultistepScheduler(**SCHEDULE),
    "sd15": PNDMScheduler(**SCHEDULE, steps_offset=1, skip_prk_steps=True),
    "sdxl": EulerDiscreteScheduler(**SCHEDULE, steps_offset=1, timestep_spacing="leading"),
}


def sampler(base: str, name: str | None) -> Any:
    pipeline = SimpleNamespace(scheduler=PUBLISHED[base].from_config(PUBLISHED[base].config))
    with sampling_with(pipeline, name):  # type: ignore
        return pipeline.scheduler


@pytest.mark.parametrize("base", PUBLISHED)
@pytest.mark.parametrize("name", [None, "dpm++", "ddpm", "ddim", "euler"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 25, 50, 52, 53, 100, 250, 500, 998, 999, 1000])
def test_every_number_of_steps_covers_the_schedule(base: str, name: str | None, count: int) -> None:
    """SDXL's dpm++ began at t = 901, 751, 501 at 100, 250, 500 steps; 1,000 of SD1.5's DDIM at t = 1,000 of 999."""
    found = with_steps(sampler(base, name), count, "cpu")
    first = float(found.timesteps.max())
    assert 999 - max(50, 1000 / 3 * (count < 5)) <= first <= 999
    assert len(found.timesteps) in (count, count + 1)  # PNDM runs one of them twice
    latents = torch.randn(1, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    for timestep in found.timesteps if count in (1, 4, 999, 1000) else ():
        latents = found.step(found.scale_model_input(latents, timestep) * 0.1, timestep, latents).prev_sample
    assert torch.isfinite(latents).all()


@pytest.mark.parametrize(("base", "name", "count"), [("sdxl", "dpm++", 25), ("sdxl", None, 50), ("sd15", None, 25)])
def test_a_spacing_that_covers_stays_diffusers_own(base: str, name: str | None, count: int) -> None:
    own, other = sampler(base, name), sampler(base, name)
    other.set_timesteps(count)
    assert with_steps(own, count, "cpu") is own
    assert torch.equal(own.timesteps, other.timesteps)


def test_karras_levels_are_told_apart_by_their_noise() -> None:
    own = DPMSolverMultistepScheduler(**SCHEDULE, use_karras_sigmas=True)
    assert with_steps(own, 100, "cpu") is own
    assert len(own.timesteps.unique()) < 100
    heun = HeunDiscreteScheduler(**SCHEDULE)
    assert with_steps(heun, 25, "cpu") is heun


def test_lcm_draws_in_as_many_steps_as_it_has() -> None:
    assert len(with_steps(sampler("sdxl", "lcm"), 50, "cpu").timesteps) == 50
    with pytest.raises(BadInput, match="cannot draw in 53 steps: ask for 50 at most"):
        with_steps(sampler("sdxl", "lcm"), 53, "cpu")
    with pytest.raises(BadInput, match="cannot draw in 2000 steps: ask for 1000 at most"):
        with_steps(sampler("sd15", "ddim"), 2000, "cpu")


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_a_number_of_steps_that_is_none_is_refused_before_drawing(count: Any) -> None:
    pipeline = tiny_pipeline(())
    with pytest.raises(BadInput, match="whole number of at least 1"):
        pipeline(prompt="red hair", num_inference_steps=count)
