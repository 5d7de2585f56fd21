"""What all condition encoders have in common."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConditionEncoder(nn.Module):
    """A condition [B, *condition_shape] -> tokens [B, N, D].

    Attributes:
        condition_shape: shape of one condition, without the batch axis.
    """

    condition_shape: tuple[int, ...]

    def null(self, batch: int) -> Tensor:
        """The condition that stands for none: zeros [B, *condition_shape], as in IP-Adapter's guidance."""
        return torch.zeros(batch, *self.condition_shape)
