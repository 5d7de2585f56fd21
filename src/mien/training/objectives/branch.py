"""Train one branch on a frozen base: landmarks, emotion, identity or expression (pre-training stages)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mien.adapters import preset_branch
from mien.adapters.blocks import Site
from mien.training.objective import load_branch
from mien.training.objectives.companions import CompaniedObjective
from mien.training.sources import Sources


class BranchObjective(CompaniedObjective):
    """The diffusion loss with one branch in place; only the branch (and ``train_companions``) is trained.

    Args:
        sources: where the base and earlier adapters are.
        kind: ``landmarks``, ``emotion``, ``identity`` or ``expression``.
        init: adapter file the branch starts from, mien's or one of a published layout: a part of the sources, a path,
            or an asset's name.
        site: where a fresh branch enters (EmojiDiff A.2): ``parallel``, ``serial`` or ``self``.
        **settings: see :class:`CompaniedObjective`; ``drop`` is for branches whose null is ``zeros``.
    """

    def __init__(
        self, sources: Sources, kind: str, init: str | None = None, site: Site = "parallel", **settings: Any
    ) -> None:
        super().__init__(sources, kind, **settings)
        branch = preset_branch(self.unet, self.sizes, kind, site) if init is None else self._read(init)
        self.branches[kind] = branch.requires_grad_(True)
        self.injection = self.inject()

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output for noisy latents under the prompts and conditions of a batch."""
        beside, present = self.companion_tokens(batch)
        tokens = {self.kind: self._branch(self.kind).encode(batch["condition"])} | beside
        plan = self.injection.condition(tokens, present={self.kind: batch["present"]} | present)
        noised = noised.contiguous(memory_format=torch.channels_last)
        return self.unet(noised, timesteps, cross_attention_kwargs=plan, **self.told(batch)).sample

    def start_from(self, folder: Path) -> None:
        """Take the branch from its adapter file; see the base class."""
        load_branch(self._branch(self.kind), folder, self.file)
