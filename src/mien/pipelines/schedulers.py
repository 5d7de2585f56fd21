"""Samplers by the names that the command line knows; any other diffusers scheduler can be set on a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from mien.errors import BadInput

if TYPE_CHECKING:
    from mien.diffusion.schedulers import Scheduler
    from mien.pipelines.portrait import PortraitPipeline


_CLASSES = {
    "dpm++": "DPMSolverMultistepScheduler",
    "ddpm": "DDPMScheduler",
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "lcm": "LCMScheduler",
}

_STRIDES = 3
"""How many strides below the last training timestep a sampling may begin (*ours*): one is what "leading" means, and
diffusers' rounding of uneven strides takes up to another two at the usual numbers of steps."""


def check_steps(count: int | None) -> None:
    """Refuse a number of steps that is none; None is the pipeline's own.

    Raises:
        BadInput: for anything but a whole number from 1.
    """
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise BadInput(f"The number of steps must be a whole number of at least 1, not {count!r}.")


def with_steps(scheduler: Scheduler, count: int, device: torch.device | str) -> Scheduler:
    """A scheduler whose timesteps are set, and cover the schedule that the UNet was trained on.

    Some spacings do not at some numbers of steps: they begin far below pure noise, name a timestep beyond the last, or
    one twice. Then the same scheduler is taken with "trailing" spacing, from the last timestep down in even strides
    (Lin et al. 2024, arXiv 2305.08891, Table 2).

    Args:
        scheduler: any diffusers scheduler; set in place where its own spacing does.
        count: number of steps.
        device: of the timesteps.

    Raises:
        BadInput: if neither spacing covers the schedule in that many steps.
    """
    check_steps(count)
    for spacing in (None, "trailing"):
        config = scheduler.config
        one = scheduler if spacing is None else type(scheduler).from_config(config, timestep_spacing=spacing)
        try:
            one.set_timesteps(count, device=device)
        except ValueError:
            continue  # LCM has as many timesteps as it was distilled with
        if _covers(one, count):
            return one
    most = scheduler.config.get("original_inference_steps") or scheduler.config["num_train_timesteps"]
    raise BadInput(f"This sampler cannot draw in {count} steps: ask for {most} at most.")


def _covers(scheduler: Scheduler, count: int) -> bool:
    """Whether timesteps lie within the training schedule, begin near its end, and differ."""
    total = scheduler.config["num_train_timesteps"]
    first = float(scheduler.timesteps.max())
    begins = total - 1 - min(_STRIDES * total / count, total / 3) <= first <= total - 1
    if scheduler.order != 1:  # Heun and its like run each level twice on purpose
        return begins
    levels = getattr(scheduler, "sigmas", scheduler.timesteps)  # Karras' levels differ where their rounded times do not
    return begins and len(levels[:-1].unique()) >= count - (levels is scheduler.timesteps)


@contextmanager
def sampling_with(pipeline: PortraitPipeline, name: str | None) -> Iterator[PortraitPipeline]:
    """The pipeline with another scheduler of the same noise schedule and prediction type, for a while.

    Args:
        pipeline: a diffusers pipeline.
        name: one of the names of `mien.generation.request.Scheduler`; None changes nothing.
    """
    import diffusers

    own = pipeline.scheduler if name else None
    if name:
        # diffusers' default for DDPM clamps to the range of pictures, which latents leave; configurations hand it on
        scheduler = getattr(diffusers, _CLASSES[name])
        pipeline.scheduler = scheduler.from_config(own.config, clip_sample=False)  # type: ignore[union-attr]
    try:
        yield pipeline
    finally:
        if name:
            pipeline.scheduler = own
