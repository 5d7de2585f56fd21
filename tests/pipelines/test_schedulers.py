"""Samplers by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, get_args

import pytest
from diffusers import DPMSolverMultistepScheduler

from mien.generation.request import Scheduler
from mien.pipelines.schedulers import sampling_with


@pytest.mark.parametrize("name", get_args(Scheduler))
def test_a_sampler_keeps_the_noise_schedule_and_goes_again(name: str) -> None:
    own = DPMSolverMultistepScheduler(prediction_type="v_prediction", beta_schedule="scaled_linear", beta_end=0.012)
    pipeline = SimpleNamespace(scheduler=own)
    with sampling_with(pipeline, name):
        other = pipeline.scheduler
        assert other is not own and name[:3] in type(other).__name__.lower()
        for setting in ("prediction_type", "beta_schedule", "beta_end", "num_train_timesteps"):
            assert other.config[setting] == own.config[setting]
    assert pipeline.scheduler is own
    with sampling_with(pipeline, None):
        assert pipeline.scheduler is own


@pytest.mark.parametrize("name", ["ddim", "ddpm", "lcm"])  # the others know no such setting
def test_no_sampler_clamps_latents_to_the_range_of_pictures(name: str) -> None:
    own: Any = DPMSolverMultistepScheduler.from_config({"prediction_type": "v_prediction", "clip_sample": True})
    assert own.config["clip_sample"], "as in folders that were saved from DDPM's scheduler"
    pipeline = SimpleNamespace(scheduler=own)
    with sampling_with(pipeline, name):
        assert not pipeline.scheduler.config.get("clip_sample")
