"""When a call denoises: the number of steps, or the caller's own timesteps or sigmas, and the sampler's noise."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from mien.errors import BadInput
from mien.pipelines.rows import Generators, as_list
from mien.pipelines.schedulers import with_steps

if TYPE_CHECKING:
    from mien.diffusion.schedulers import Scheduler


@dataclass(frozen=True)
class Timetable:
    """The steps of one call.

    Attributes:
        steps: number of denoising steps.
        timesteps: the caller's own instead, falling.
        sigmas: likewise, as noise levels that end with 0, as diffusers takes them.
        eta: the DDIM paper's; 0 is deterministic. For schedulers that take it (DDIM).
    """

    steps: int
    timesteps: Sequence[int] | None = None
    sigmas: Sequence[float] | None = None
    eta: float = 0.0

    def apply(self, scheduler: Scheduler, device: torch.device) -> Scheduler:
        """A scheduler with its steps set: the given one, or one like it where its own spacing would not do.

        Raises:
            BadInput: if it cannot have such steps.
        """
        if self.timesteps is None and self.sigmas is None:
            return with_steps(scheduler, self.steps, device)
        if self.timesteps is not None and self.sigmas is not None:
            raise BadInput("Give timesteps or sigmas, not both.")
        name = "timesteps" if self.timesteps is not None else "sigmas"
        values = list(getattr(self, name))
        if not values or any(later >= earlier for earlier, later in pairwise(values)):
            raise BadInput(f"The {name} must fall from step to step, not {values}.")
        if name not in inspect.signature(scheduler.set_timesteps).parameters:
            raise BadInput(f"{type(scheduler).__name__} takes no {name}; leave them out, or set another scheduler.")
        try:
            scheduler.set_timesteps(device=device, **{name: values})
        except (ValueError, TypeError) as error:
            raise BadInput(f"These {name} do not fit {type(scheduler).__name__} ({error}).") from error
        return scheduler

    def step_options(self, scheduler: Scheduler, generator: Generators) -> dict[str, Any]:
        """Further arguments of the scheduler's ``step``.

        Raises:
            BadInput: if eta is set and the scheduler has none.
        """
        takes = inspect.signature(scheduler.step).parameters
        if self.eta and "eta" not in takes:
            raise BadInput(f"{type(scheduler).__name__} takes no eta; leave it out, or set a DDIMScheduler.")
        options: dict[str, Any] = {"generator": as_list(generator)} if "generator" in takes else {}
        return options | ({"eta": self.eta} if self.eta else {})
