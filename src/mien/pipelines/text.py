"""What a base's UNet is told besides the branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


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

    def map(self, change: Callable[[Tensor], Tensor]) -> Text:
        """The same change to both parts."""
        return Text(change(self.states), None if self.pooled is None else change(self.pooled))


def stacked(rows: Sequence[Text]) -> Text:
    """Rows one after the other."""
    pooled = [row.pooled for row in rows if row.pooled is not None]
    return Text(torch.cat([row.states for row in rows]), torch.cat(pooled) if pooled else None)
