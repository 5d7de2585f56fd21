"""Train a ControlNet over a frozen base: FaceCrafter's comparison, and a site of EmojiDiff (A.2 b)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from mien.adapters import preset_branch
from mien.models.controlnet import blank_picture, build_controlnet
from mien.training.branch_set import BranchSet, CompaniedConfig
from mien.training.frozen_base import FrozenBase, Selection
from mien.training.objective import Logs, Objective
from mien.training.sources import Sources

if TYPE_CHECKING:
    import numpy as np

    from mien.data.corpus import Corpus


class ControlNetConfig(CompaniedConfig):
    """Options of :class:`ControlNetObjective`.

    Attributes:
        kind: ``landmarks``: it reads the landmark picture (FaceCrafter Table 1); ``expression``: it attends to the
            expression tokens in the place of the text, and its picture is blank (EmojiDiff A.2 b).
        drop: no effect: every row has its condition, as a ControlNet's users train it.
    """

    kind: Literal["landmarks", "expression"] = "landmarks"

    def build(self, sources: Sources) -> ControlNetObjective:
        """See the base class."""
        return ControlNetObjective(sources, self)


class ControlNetObjective(Objective):
    """The diffusion loss with diffusers' ControlNet beside the base; only it (and companions) is trained.

    Args:
        sources: where the base is.
        config: the options.
    """

    config_type = ControlNetConfig

    def __init__(self, sources: Sources, config: ControlNetConfig) -> None:
        super().__init__()
        self.config, self.kind = config, config.kind
        self.base = FrozenBase(sources, config, (config.kind,))
        self.branch_set = BranchSet(self.base, config.kind)
        self.branch_set.add_companions(config.companions, train=config.train_companions)
        self.unet, self.branches = self.base.unet, self.branch_set.modules
        self.injection = self.branch_set.inject()
        if config.kind == "expression":
            self.branches[config.kind] = preset_branch(self.unet, self.base.sizes, config.kind, "controlnet")
        controlnet: Any = build_controlnet(self.unet, explicit=self.base.attention == "explicit")
        self.controlnet = controlnet.to(memory_format=torch.channels_last)

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
        """The UNet's output with the ControlNet's residuals."""
        kwargs = self.base.unet_kwargs(batch)
        noised = noised.contiguous(memory_format=torch.channels_last)
        if self.kind == "expression":
            states = self.branch_set[self.kind].encode(batch["condition"])
            picture = blank_picture(self.controlnet, noised)
        else:
            states, picture = kwargs["encoder_hidden_states"], (batch["condition"] + 1) / 2
        beside = kwargs | {"encoder_hidden_states": states, "controlnet_cond": picture}
        down, middle = self.controlnet(noised, timesteps, **beside, return_dict=False)
        tokens, present = self.branch_set.companion_tokens(batch)
        return self.unet(
            noised, timesteps, down_block_additional_residuals=down, mid_block_additional_residual=middle,
            cross_attention_kwargs=self.injection.condition(tokens, present=present), **kwargs,
        ).sample  # fmt: skip

    def gaps(self, corpus: Corpus) -> Logs:
        """See :meth:`FrozenBase.gaps`."""
        return self.base.gaps(corpus, self.config.prompts, self.gather, self.predict)

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"controlnet": self.controlnet}

    def export(self, folder: Path) -> None:
        """``controlnet/``, and the branches that are trained; see :meth:`BranchSet.export`."""
        super().export(folder)
        self.branch_set.export(folder, self.config.file or self.kind)
