"""What objectives share whose loss is the diffusion loss of a base, above all those that train one condition on it."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor

from mien.training.branch_set import BranchSet, CompaniedConfig
from mien.training.frozen_base import ConditionConfig, FrozenBase, SelectingObjective, Selection
from mien.training.objective import Logs
from mien.training.sources import Sources

if TYPE_CHECKING:
    import numpy as np

    from mien.data.corpus import Corpus

Config = TypeVar("Config", bound=ConditionConfig)


class DiffusionObjective(SelectingObjective, Generic[Config]):
    """The diffusion loss of a base on random pictures with their prompts and one condition.

    A subclass sets ``config`` and ``base``, gathers the batch of a selection, and says what is predicted for it.
    """

    config: Config
    base: FrozenBase

    @abstractmethod
    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output for noisy latents under the prompts and conditions of a batch."""

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """See the base class."""
        self.base.prepare(corpus)

    def select(self, corpus: Corpus, rng: np.random.Generator, size: int) -> Selection:
        """See :meth:`FrozenBase.select`."""
        return self.base.select(corpus, rng, size, self.config.prompts, self.config.drop)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        return self.base.loss(batch, self.predict, generator), {}

    def gaps(self, corpus: Corpus) -> Logs:
        """See :meth:`FrozenBase.gaps`."""
        return self.base.gaps(corpus, self.config.prompts, self.gather, self.predict)


class ConditionObjective(DiffusionObjective[CompaniedConfig]):
    """The diffusion loss of a frozen base under one condition, with companions beside.

    A subclass puts what reads the condition into ``branches`` or beside the base, and says what is predicted with it.

    Args:
        sources: where the base and earlier adapters are.
        config: the options.
        kind: of the condition.
    """

    def __init__(self, sources: Sources, config: CompaniedConfig, kind: str) -> None:
        super().__init__()
        self.config, self.kind, self.file = config, kind, config.file or kind
        self.base = FrozenBase(sources, config, (kind,))
        self.branch_set = BranchSet(self.base, kind)
        self.branch_set.add_companions(config.companions, train=config.train_companions)
        self.unet, self.branches = self.base.unet, self.branch_set.modules

    def gather(self, selection: Selection) -> dict[str, Tensor]:
        """The batch of a selection."""
        return self.base.gather(selection, self.kind) | self.branch_set.companion_rows(selection)

    def export(self, folder: Path) -> None:
        """What stands beside the base, and the branches that are trained; see :meth:`BranchSet.export`."""
        super().export(folder)
        self.branch_set.export(folder, self.file)
