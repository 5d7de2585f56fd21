"""What a stage of training must offer to the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mien.errors import ConfigError, MissingAsset

if TYPE_CHECKING:
    import numpy as np

    from mien.adapters import Branch
    from mien.data.corpus import Corpus

Logs = dict[str, float]


def load_part(module: nn.Module, folder: Path) -> None:
    """Copy the weights of a ``from_pretrained`` folder into a module of the same class; see ``start_from``."""
    if not folder.is_dir():
        raise MissingAsset(f"There is no {folder} to start from; give a folder that holds it, or leave --init out.")
    stored: Any = type(module).from_pretrained(folder)  # type: ignore[attr-defined]
    try:
        module.load_state_dict(stored.state_dict())
    except RuntimeError as error:
        raise ConfigError(f"{folder} holds a model of another size, which this preset cannot start from.") from error


def load_branch(branch: Branch, folder: Path, file: str) -> None:
    """Copy the weights of ``adapters/FILE.safetensors`` of a model folder into a branch; see ``start_from``."""
    from mien.adapters import load_adapter

    stored = load_adapter(folder / "adapters" / f"{file}.safetensors")
    try:
        branch.load_state_dict(stored[branch.kind].state_dict())
    except (KeyError, RuntimeError) as error:
        raise ConfigError(f"{folder} holds a {file} of another size, which cannot be started from.") from error


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

    def parts(self) -> dict[str, nn.Module]:
        """What this stage trains, by its folder in the layout of the embedded models; known after ``prepare``."""
        return {}

    def export(self, folder: Path) -> None:
        """Write what this stage trained, as fp16 safetensors, in the layout of the embedded models."""
        from mien.training.export import save_half

        for name, module in self.parts().items():
            save_half(module, folder / name)

    def start_from(self, folder: Path) -> None:
        """Take the weights of a model folder (an export, the embedded model); what is not stored starts as new.

        Raises:
            MissingAsset: if a part is absent.
            ConfigError: if one is of another size.
        """
        for name, module in self.parts().items():
            load_part(module, folder / name)

    def trained(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}
