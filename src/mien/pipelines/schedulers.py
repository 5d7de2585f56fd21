"""Samplers by the names that the command line knows; any other diffusers scheduler can be set on a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CLASSES = {
    "dpm++": "DPMSolverMultistepScheduler",
    "ddpm": "DDPMScheduler",
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "lcm": "LCMScheduler",
}


@contextmanager
def sampling_with(pipeline: Any, name: str | None) -> Iterator[Any]:
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
