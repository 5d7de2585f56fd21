"""Train one branch on a frozen base: landmarks, emotion, identity or expression (pre-training stages)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from mien.adapters import preset_branch
from mien.adapters.blocks import Site
from mien.training.branch_set import CompaniedConfig
from mien.training.objective import load_branch
from mien.training.objectives.condition import ConditionObjective
from mien.training.sources import Sources


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


class BranchObjective(ConditionObjective):
    """The diffusion loss with one branch in place; only the branch (and ``train_companions``) is trained.

    Args:
        sources: where the base and earlier adapters are.
        config: the options.
    """

    config_type = BranchConfig

    def __init__(self, sources: Sources, config: BranchConfig) -> None:
        super().__init__(sources, config, config.kind)
        if config.init is None:
            branch = preset_branch(self.unet, self.base.sizes, config.kind, config.site)
        else:
            branch = self.branch_set.read(config.init)
        self.branches[config.kind] = branch.requires_grad_(True)
        self.injection = self.branch_set.inject()

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """See the base class."""
        beside, present = self.branch_set.companion_tokens(batch)
        tokens = {self.kind: self.branch_set[self.kind].encode(batch["condition"])} | beside
        plan = self.injection.condition(tokens, present={self.kind: batch["present"]} | present)
        noised = noised.contiguous(memory_format=torch.channels_last)
        return self.unet(noised, timesteps, cross_attention_kwargs=plan, **self.base.unet_kwargs(batch)).sample

    def start_from(self, folder: Path) -> None:
        """Take the branch from its adapter file; see the base class."""
        load_branch(self.branch_set[self.kind], folder, self.file)
