"""Train one branch on a frozen base: landmarks, emotion, identity or expression (pre-training stages)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from mien.adapters import preset_branch
from mien.adapters.blocks import Site
from mien.training.branch_set import BranchSet, CompaniedConfig
from mien.training.frozen_base import FrozenBase, Selection
from mien.training.objective import Logs, Objective, load_branch
from mien.training.sources import Sources

if TYPE_CHECKING:
    import numpy as np

    from mien.data.corpus import Corpus


class BranchConfig(CompaniedConfig):
    """Options of :class:`BranchObjective`.

    Attributes:
        kind: what the branch reads.
        init: adapter file the branch starts from, mien's or one of a published layout: a part of the sources, a path,
            or an asset's name.
        site: where a fresh branch enters (EmojiDiff A.2).
        drop: for branches whose null is ``zeros``; see :class:`ConditionConfig`.
    """

    kind: Literal["landmarks", "emotion", "identity", "expression"]
    init: str | None = None
    site: Site = "parallel"

    def build(self, sources: Sources) -> BranchObjective:
        """See the base class."""
        return BranchObjective(sources, self)


class BranchObjective(Objective):
    """The diffusion loss with one branch in place; only the branch (and ``train_companions``) is trained.

    Args:
        sources: where the base and earlier adapters are.
        config: the options.
    """

    config_type = BranchConfig

    def __init__(self, sources: Sources, config: BranchConfig) -> None:
        super().__init__()
        self.config, self.kind = config, config.kind
        self.base = FrozenBase(sources, config, (config.kind,))
        self.branch_set = BranchSet(self.base, config.kind)
        self.branch_set.add_companions(config.companions, train=config.train_companions)
        self.unet, self.branches = self.base.unet, self.branch_set.modules
        if config.init is None:
            branch = preset_branch(self.unet, self.base.sizes, config.kind, config.site)
        else:
            branch = self.branch_set.read(config.init)
        self.branches[config.kind] = branch.requires_grad_(True)
        self.injection = self.branch_set.inject()

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """See the base class."""
        self.base.prepare(corpus)

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """See :meth:`FrozenBase.select`."""
        return self.gather(self.base.select(corpus, rng, size, self.config.prompts, self.config.drop))

    def gather(self, selection: Selection) -> dict[str, Tensor]:
        """The batch of a selection."""
        return self.base.gather(selection, self.kind) | self.branch_set.companion_rows(selection)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        return self.base.loss(batch, self.predict, generator), {}

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output for noisy latents under the prompts and conditions of a batch."""
        beside, present = self.branch_set.companion_tokens(batch)
        tokens = {self.kind: self.branch_set[self.kind].encode(batch["condition"])} | beside
        plan = self.injection.condition(tokens, present={self.kind: batch["present"]} | present)
        noised = noised.contiguous(memory_format=torch.channels_last)
        return self.unet(noised, timesteps, cross_attention_kwargs=plan, **self.base.unet_kwargs(batch)).sample

    def gaps(self, corpus: Corpus) -> Logs:
        """See :meth:`FrozenBase.gaps`."""
        return self.base.gaps(corpus, self.config.prompts, self.gather, self.predict)

    def start_from(self, folder: Path) -> None:
        """Take the branch from its adapter file; see the base class."""
        load_branch(self.branch_set[self.kind], folder, self.config.file or self.kind)

    def export(self, folder: Path) -> None:
        """``adapters/FILE.safetensors``; trained companions as ``adapters/FILE_COMPANION.safetensors``."""
        self.branch_set.export(folder, self.config.file or self.kind)
