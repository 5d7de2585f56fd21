"""What a stage of training must offer to the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import numpy as np

    from mien.data.corpus import Corpus

Logs = dict[str, float]


class Objective(nn.Module, ABC):
    """A loss over a batch, and everything it trains.

    The step is this module's ``forward`` (else distributed training never synchronises). Parameters that require
    gradients are trained and averaged; the rest is frozen.
    """

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Look at the data once before the first step of every start (statistics, caches); may be slow."""

    def learning_rates(self) -> dict[str, float]:
        """Factors on the learning rate, by prefix of the parameters' names; 1 for the rest."""
        return {}

    @abstractmethod
    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Draw ``size`` training examples; depends on ``rng`` alone, so that an interrupted run repeats itself."""

    @abstractmethod
    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """Loss (a scalar) and what to log."""

    def validate(self, corpus: Corpus) -> Logs:
        """Numbers on held-out people; called with the averaged weights in place."""
        return {}

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write what this stage trained, as fp16 safetensors, in the layout of the embedded models."""

    def trained(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}
