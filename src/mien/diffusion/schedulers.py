"""The type of a diffusers scheduler: the part of their common interface that mien uses."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor


class Scheduler(Protocol):
    """Any of diffusers' schedulers with ``alphas_cumprod``, such as DDPM, DDIM, Euler, DPM-Solver++ and LCM.

    diffusers has no such type: its base class ``SchedulerMixin`` knows of loading and saving only, and the arguments of
    the methods, and their types, differ from one scheduler to another.

    Attributes:
        alphas_cumprod: [T], alpha_bar of each timestep of training.
        timesteps: [S], those that are set.
        order: evaluations of the UNet in a step.
        init_noise_sigma: standard deviation of the latents that sampling begins with; a number or a tensor.
    """

    alphas_cumprod: Tensor
    timesteps: Tensor
    order: int

    @property
    def init_noise_sigma(self) -> float | Tensor: ...  # noqa: D102

    @property
    def config(self) -> Any:
        """Diffusers' ``FrozenDict``: its values are also attributes."""
        ...

    @classmethod
    def from_config(cls, config: Any, **changes: Any) -> Any:
        """Another one with these settings, and these changes."""
        ...

    def set_timesteps(self, *args: Any, **kwargs: Any) -> None:
        """Set the timesteps of a sampling."""
        ...

    def scale_model_input(self, *args: Any, **kwargs: Any) -> Tensor:
        """Latents as the UNet sees them, of latents and a timestep."""
        ...

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """The latents after a step, of the UNet's output, a timestep and the latents."""
        ...

    def add_noise(self, *args: Any, **kwargs: Any) -> Tensor:
        """Noised latents, of latents, noise and timesteps [B]."""
        ...


class TrainingScheduler(Scheduler, Protocol):
    """One that also tells the velocity, as DDPM does: what a network is trained with."""

    def get_velocity(self, *args: Any, **kwargs: Any) -> Tensor:
        """V of latents, noise and timesteps [B]."""
        ...
