"""Train a ControlNet over a frozen base: FaceCrafter's comparison, and a site of EmojiDiff (A.2 b)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from mien.adapters import preset_branch
from mien.core.pixels import pictures_to_tensor
from mien.models.controlnet import blank_picture, build_controlnet
from mien.training.bases import base_scale_factor
from mien.training.branch_set import CompaniedConfig
from mien.training.objectives.condition import ConditionObjective
from mien.training.sources import Sources


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


class ControlNetObjective(ConditionObjective):
    """The diffusion loss with diffusers' ControlNet beside the base; only it (and companions) is trained.

    Args:
        sources: where the base is.
        config: the options.
    """

    config_type = ControlNetConfig

    def __init__(self, sources: Sources, config: ControlNetConfig) -> None:
        super().__init__(sources, config, config.kind)
        self.injection = self.branch_set.inject()
        if config.kind == "expression":
            self.branches[config.kind] = preset_branch(self.unet, self.base.sizes, config.kind, "controlnet")
        controlnet: Any = build_controlnet(self.unet, base_scale_factor(sources), self.base.attention == "explicit")
        self.controlnet = controlnet.to(memory_format=torch.channels_last)

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output with the ControlNet's residuals."""
        kwargs = self.base.unet_kwargs(batch)
        noised = noised.contiguous(memory_format=torch.channels_last)
        if self.kind == "expression":
            states = self.branch_set[self.kind].encode(batch["condition"])
            picture = blank_picture(self.controlnet, noised)
        else:
            states, picture = kwargs["encoder_hidden_states"], (pictures_to_tensor(batch["condition"]) + 1) / 2
        beside = kwargs | {"encoder_hidden_states": states, "controlnet_cond": picture}
        down, middle = self.controlnet(noised, timesteps, **beside, return_dict=False)
        tokens, present = self.branch_set.companion_tokens(batch)
        return self.unet(
            noised, timesteps, down_block_additional_residuals=down, mid_block_additional_residual=middle,
            cross_attention_kwargs=self.injection.condition(tokens, present=present), **kwargs,
        ).sample  # fmt: skip

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"controlnet": self.controlnet}
