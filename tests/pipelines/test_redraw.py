"""Redrawing part of a picture."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from mien.errors import BadInput
from mien.generation.request import Scheduler
from mien.pipelines.redraw import Redraw
from mien.pipelines.schedulers import sampling_with
from tests.tiny import tiny_condition, tiny_pipeline


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return tiny_pipeline()


def drawn(pipeline: Any, picture: torch.Tensor, **options: Any) -> torch.Tensor:
    settings: dict[str, Any] = {"num_inference_steps": 6, "output_type": "latent"} | options
    generator = [torch.Generator().manual_seed(3)]
    return pipeline(image=picture, identity=tiny_condition("identity", 1), generator=generator, **settings).images


@pytest.mark.parametrize("scheduler", get_args(Scheduler))
def test_outside_the_region_the_picture_stays(pipeline: Any, scheduler: str) -> None:
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    region = torch.zeros(1, 16, 16)
    region[:, :8] = 1.0
    own = Redraw.of(pipeline.vae, picture, region, 0.5, 1)
    with sampling_with(pipeline, scheduler):
        found = drawn(pipeline, picture, region=region, strength=0.5)
    assert torch.equal(found[:, :, 4:], own.latents[:, :, 4:])
    assert (found[:, :, :4] - own.latents[:, :, :4]).abs().amax() > 1e-3


def test_strength_is_how_much_changes(pipeline: Any) -> None:
    picture = torch.zeros(1, 3, 16, 16)
    own = Redraw.of(pipeline.vae, picture, None, 1.0, 1).latents
    calls: list[int] = []
    moved = []
    for strength in (0.01, 0.5, 1.0):

        def count(pipe: Any, step: int, *_: Any) -> dict[str, Any]:
            calls.append(step)
            return {}

        found = drawn(pipeline, picture, strength=strength, callback_on_step_end=count)
        moved.append((found - own).square().mean().item())
    assert calls == [0, 0, 1, 2, 0, 1, 2, 3, 4, 5], "one step at the least, half of six, all"
    assert moved[0] < moved[1]


def test_what_does_not_fit_is_refused(pipeline: Any) -> None:
    picture = torch.zeros(1, 3, 16, 16)
    with pytest.raises(BadInput, match=r"strength=0\.0"):
        drawn(pipeline, picture, strength=0.0)
    with pytest.raises(BadInput, match="region"):
        drawn(pipeline, picture, region=torch.ones(1, 8, 8))
    with pytest.raises(BadInput, match="give 1 or 1 of each"):
        drawn(pipeline, picture.repeat(2, 1, 1, 1))
