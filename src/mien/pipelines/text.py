"""The text condition of a base's UNet: states of the tokens, and a pooled vector where it takes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mien.models.text import TextOutput


class Text(NamedTuple):
    """Prompts, encoded.

    Attributes:
        states: hidden states [B, L, D] that cross-attention reads.
        pooled: one vector a prompt [B, F] where the base takes it (SDXL), else None.
    """

    states: Tensor
    pooled: Tensor | None = None

    def to(self, device: torch.device, dtype: torch.dtype) -> Text:
        """The same on a device, in a dtype."""
        return self.map(lambda part: part.to(device=device, dtype=dtype))

    def expand(self, count: int) -> Text:
        """One row for ``count`` pictures, without a copy."""
        return self.map(lambda part: part.expand(count, *part.shape[1:]))

    def repeat(self, count: int) -> Text:
        """Each row ``count`` times, one after the other."""
        return self.map(lambda part: part.repeat_interleave(count, 0))

    def where(self, rows: Tensor, other: Text) -> Text:
        """These rows, bool [B], and another text's elsewhere."""
        states = torch.where(rows[:, None, None], self.states, other.states)
        if self.pooled is None or other.pooled is None:
            return Text(states)
        return Text(states, torch.where(rows[:, None], self.pooled, other.pooled))

    def map(self, change: Callable[[Tensor], Tensor]) -> Text:
        """The same change to both parts."""
        return Text(change(self.states), None if self.pooled is None else change(self.pooled))


def text_of_two(outputs: Sequence[TextOutput], device: torch.device | None = None) -> Text:
    """What SDXL's UNet is told of the outputs of its two text encoders, on one device if that is named.

    States before the last layer of both side by side [B, L, D], and the second one's pooled vector [B, F].
    """
    states = torch.cat([output.hidden_states[-2].to(device) for output in outputs], dim=-1)
    return Text(states, outputs[1].text_embeds.to(device))


def stacked(rows: Sequence[Text]) -> Text:
    """Rows one after the other."""
    pooled = [row.pooled for row in rows if row.pooled is not None]
    return Text(torch.cat([row.states for row in rows]), torch.cat(pooled) if pooled else None)
