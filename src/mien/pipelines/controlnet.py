"""A ControlNet in the place of the landmarks branch, or told by a branch's tokens (EmojiDiff A.2 b)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mien.adapters.plan import scatter_rows
from mien.models.controlnet import blank_picture

if TYPE_CHECKING:
    from diffusers import ControlNetModel


@dataclass(frozen=True)
class ControlledRows:
    """What a ControlNet adds to each UNet call, in the rows whose evaluation holds the condition.

    Attributes:
        controlnet: a diffusers ``ControlNetModel``.
        rows: the rows of the batch of all evaluations that take part, int64 [R].
        scale: how much of its output is added, [R].
        pictures: what it reads, [R, 3, H, W] in [0, 1]; None for a blank picture.
        states: the tokens [R, N, D] that it attends to; None for those of the text.
    """

    controlnet: ControlNetModel
    rows: Tensor
    scale: Tensor
    pictures: Tensor | None = None
    states: Tensor | None = None

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
        noisy_rows = noisy[self.rows]
        pictures = blank_picture(self.controlnet, noisy_rows) if self.pictures is None else self.pictures
        states = text[self.rows] if self.states is None else self.states
        down, middle = self.controlnet(
            noisy_rows, timestep, states, controlnet_cond=pictures, return_dict=False, **chosen
        )
        return {
            "down_block_additional_residuals": tuple(self._placed(part, len(noisy)) for part in down),
            "mid_block_additional_residual": self._placed(middle, len(noisy)),
        }

    def part(self, span: slice) -> ControlledRows | None:
        """Those of a call that has these rows of the batch alone; None where none of them takes part."""
        inside = (self.rows >= span.start) & (self.rows < span.stop)
        if not bool(inside.any()):
            return None
        pictures, states = (None if part is None else part[inside] for part in (self.pictures, self.states))
        return replace(
            self, rows=self.rows[inside] - span.start, scale=self.scale[inside], pictures=pictures, states=states
        )

    def _placed(self, residual: Tensor, count: int) -> Tensor:
        scaled = residual * self.scale.to(residual)[:, None, None, None]
        return scatter_rows(scaled, self.rows.to(residual.device), count)


def controlled_rows(
    controlnet: ControlNetModel,
    condition: str,
    control: Tensor,
    scale: Tensor,
    evaluations: Sequence[frozenset[str]],
) -> ControlledRows | None:
    """The rows of a call in which a ControlNet acts; None where no evaluation holds its condition.

    Args:
        controlnet: a diffusers ``ControlNetModel``.
        condition: its name among the conditions of an evaluation.
        control: its picture [P, 3, H, W] in [-1, 1], or tokens [P, N, D] in the place of the text's.
        scale: one number, or one a picture [P].
        evaluations: conditions of each of the E evaluations, in their order in the batch.
    """
    import torch

    count = len(control)
    holds = [index for index, names in enumerate(evaluations) if condition in names]
    if not holds:
        return None
    rows = torch.cat([torch.arange(count) + index * count for index in holds]).to(controlnet.device)
    place = {"device": controlnet.device, "dtype": controlnet.dtype}
    each = torch.cat([scale.expand(count) if scale.ndim == 0 else scale] * len(holds)).to(**place)
    repeated = torch.cat([control.to(**place)] * len(holds))
    if control.ndim == 3:
        return ControlledRows(controlnet, rows, each, states=repeated)
    return ControlledRows(controlnet, rows, each, pictures=(repeated + 1) / 2)  # diffusers' read pictures in [0, 1]
