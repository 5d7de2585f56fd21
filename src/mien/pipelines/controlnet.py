"""A ControlNet in the place of the landmarks branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mien.adapters.plan import spread


@dataclass(frozen=True)
class ControlledRows:
    """What a ControlNet adds to each UNet call, in the rows whose evaluation holds the condition.

    Attributes:
        controlnet: a diffusers ``ControlNetModel``.
        pictures: what it reads, [R, 3, H, W] in [0, 1], one a row that takes part.
        rows: those rows of the batch of all evaluations, int64 [R].
        scale: how much of its output is added, [R].
    """

    controlnet: Any
    pictures: Tensor
    rows: Tensor
    scale: Tensor

    def __call__(
        self, noisy: Tensor, timestep: Tensor, text: Tensor, added: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Keyword arguments of the UNet's call, from its other arguments.

        Args:
            noisy: latents [E P, C, h, w].
            timestep: one for all.
            text: states [E P, L, D].
            added: ``added_cond_kwargs`` where the base has them (SDXL), tensors [E P, ...] by name.
        """
        given = (added or {}).items()
        chosen = {option: {name: value[self.rows] for name, value in values.items()} for option, values in given}
        down, middle = self.controlnet(
            noisy[self.rows],
            timestep,
            text[self.rows],
            controlnet_cond=self.pictures,
            return_dict=False,
            **chosen,
        )
        return {
            "down_block_additional_residuals": tuple(self._placed(part, len(noisy)) for part in down),
            "mid_block_additional_residual": self._placed(middle, len(noisy)),
        }

    def _placed(self, residual: Tensor, count: int) -> Tensor:
        scaled = residual * self.scale.to(residual)[:, None, None, None]
        return spread(scaled, self.rows.to(residual.device), count)


def controlled_rows(
    controlnet: Any, condition: str, picture: Tensor, scale: Tensor, evaluations: Sequence[frozenset[str]]
) -> ControlledRows | None:
    """The rows of a call in which a ControlNet acts; None where no evaluation holds its condition.

    Args:
        controlnet: a diffusers ``ControlNetModel``.
        condition: its name among the conditions of an evaluation.
        picture: [P, 3, H, W] in [-1, 1].
        scale: one number, or one a picture [P].
        evaluations: conditions of each of the E evaluations, in their order in the batch.
    """
    import torch

    count = len(picture)
    holds = [index for index, names in enumerate(evaluations) if condition in names]
    if not holds:
        return None
    rows = torch.cat([torch.arange(count) + index * count for index in holds])
    place = {"device": controlnet.device, "dtype": controlnet.dtype}
    pictures = ((picture + 1) / 2).to(**place)  # diffusers' ControlNets read pictures in [0, 1]
    each = scale.expand(count) if scale.ndim == 0 else scale
    repeats = len(holds)
    return ControlledRows(
        controlnet, torch.cat([pictures] * repeats), rows.to(controlnet.device), torch.cat([each.to(**place)] * repeats)
    )
