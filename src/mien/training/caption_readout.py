"""A linear readout of what the face does from a caption's states: a loss term beside a base's diffusion loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

SHOWN = ("coefficients", "gaze", "pose", "emotion")


class CaptionReadout(nn.Module):
    """A linear reading of expression, gaze, pose and emotion from the text encoder's states (*ours*).

    A contrast of captions and pictures is won by hair and clothes; words such as "smiling" and "looking sad" may then
    all end in nearly one state, and a UNet cannot follow what it cannot tell apart.

    Args:
        width: of the text encoder.
        labels: how many values are read.
    """

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, labels)

    def forward(self, states: Tensor, words: Tensor, shown: Tensor, counted: Tensor) -> Tensor:
        """Mean squared error of the rows that count.

        Args:
            states: [B, L, D], last hidden states.
            words: which tokens are no padding, bool [B, L].
            shown: what the pictures show, [B, K], see :func:`shown_in`.
            counted: which rows have a caption, bool [B].
        """
        real = words[..., None].float()
        read = self.head((states.float() * real).sum(1) / real.sum(1).clamp(min=1))
        errors = (read - shown).pow(2).mean(-1)
        return (errors * counted).sum() / counted.sum().clamp(min=1)


def shown_in(corpus: Corpus) -> Tensor:
    """Coefficients, gaze, pose and emotion of all pictures, each with mean 0 and variance 1; float32 [N, 68].

    What hardly varies, a coefficient that is never driven, is left at 0.
    """
    values = np.concatenate([corpus[name] for name in SHOWN], 1).astype(np.float32)
    spread = values.std(0)
    scaled = (values - values.mean(0)) / np.where(spread > 1e-3, spread, np.inf)
    return torch.from_numpy(scaled.astype(np.float32))
