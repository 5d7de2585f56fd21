"""What all condition encoders have in common."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConditionEncoder(nn.Module):
    """A condition [B, *condition_shape] -> tokens [B, N, D].

    Attributes:
        condition_shape: shape of one condition, without the batch axis.
        looks: whether it reads a face's picture beside its embedding.
        grid: side of the square grid of the picture that the tokens lie on, row by row; None where they have no place.

    Example:
        >>> import torch
        >>> from mien.adapters.encoders import ConditionEncoder, EmotionEncoder
        >>> encoder: ConditionEncoder = EmotionEncoder(token_dim=16, hidden=8)
        >>> encoder.condition_shape
        (10,)
    """

    condition_shape: tuple[int, ...]
    looks = False
    grid: int | None = None

    def null(self, batch: int) -> Tensor:
        """The condition that stands for none: zeros [B, *condition_shape], as in IP-Adapter's guidance."""
        return torch.zeros(batch, *self.condition_shape)


def start_from_input(net: nn.Sequential) -> None:
    """Zero the biases and keep the size of the signal through an MLP at its start.

    PyTorch's default biases are as large as what a unit-length embedding makes of its weights: the tokens of different
    conditions then start nearly equal, and a branch learns to ignore them first (measured; *ours*).
    """
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
