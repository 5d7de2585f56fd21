"""The guidance's sum of differences, kept from step to step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mien.diffusion.prediction import prediction_type, signal_and_noise

if TYPE_CHECKING:
    from mien.diffusion.schedulers import Scheduler


class Differences:
    """D = e_guided - e(reference) as noise, with the steps at which it was computed.

    A UNet's output and the noise it stands for are affine in each other: a difference of noise is a difference of
    velocities times a, or one of clean latents times -a / s, with the same offsets gone. Kept as noise, D changes least
    from step to step in the studio (docs/speed.md).

    Args:
        extrapolate: see :class:`mien.diffusion.caching.DifferenceCaching`.
    """

    def __init__(self, extrapolate: bool = True) -> None:
        self._extrapolate = extrapolate
        self._kept: list[tuple[int, Tensor]] = []

    def keep(self, index: int, difference: Tensor, factor: Tensor) -> None:
        """Keep a difference of UNet outputs [B, C, h, w] of step ``index``; ``factor`` as :func:`noise_factor`."""
        self._kept = [*self._kept, (index, difference * factor)][-2:]

    def at(self, index: int, factor: Tensor) -> Tensor:
        """The difference at a later step, as one of UNet outputs [B, C, h, w].

        Raises:
            ValueError: if none was kept.
        """
        if not self._kept:
            raise ValueError("No difference has been kept yet.")
        last_index, last = self._kept[-1]
        if self._extrapolate and len(self._kept) == 2:
            first_index, first = self._kept[0]
            last = last + (last - first) * ((index - last_index) / (last_index - first_index))
        return last / factor


def noise_factor(scheduler: Scheduler, timestep: Tensor) -> Tensor:
    """What a difference of UNet outputs is multiplied with to be one of noise; float32 [1, 1, 1, 1].

    1 for epsilon, a for v_prediction, -a / s for sample; a is kept off 0, where a picture is all noise.
    """
    kind = prediction_type(scheduler)
    a, s = signal_and_noise(scheduler, timestep)
    a = a.clamp(min=1e-2)
    if kind == "epsilon":
        return a.new_ones(())
    return a if kind == "v_prediction" else -a / s
