"""Train a ControlNet over a frozen base: FaceCrafter's comparison, and a site of EmojiDiff (A.2 b)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from mien.adapters import preset_branch
from mien.models.controlnet import blank_picture, build_controlnet
from mien.training.objectives.companions import CompaniedObjective
from mien.training.sources import Sources


class ControlNetObjective(CompaniedObjective):
    """The diffusion loss with diffusers' ControlNet beside the base; only it (and companions) is trained.

    Args:
        sources: where the base is.
        kind: ``landmarks``: it reads the landmark picture (FaceCrafter Table 1); ``expression``: it attends to the
            expression tokens in the place of the text, and its picture is blank (EmojiDiff A.2 b).
        **settings: see :class:`CompaniedObjective`; every row has its condition, as a ControlNet's users train it.
    """

    def __init__(
        self, sources: Sources, kind: Literal["landmarks", "expression"] = "landmarks", **settings: Any
    ) -> None:
        super().__init__(sources, kind, **settings)
        self.injection = self.inject()
        if kind == "expression":
            self.branches[kind] = preset_branch(self.unet, self.sizes, kind, "controlnet")
        controlnet: Any = build_controlnet(self.unet, explicit=self.attention == "explicit")
        self.controlnet = controlnet.to(memory_format=torch.channels_last)

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output with the ControlNet's residuals."""
        told = self.told(batch)
        noised = noised.contiguous(memory_format=torch.channels_last)
        if self.kind == "expression":
            states = self._branch(self.kind).encode(batch["condition"])
            picture = blank_picture(self.controlnet, noised)
        else:
            states, picture = told["encoder_hidden_states"], (batch["condition"] + 1) / 2
        beside = told | {"encoder_hidden_states": states, "controlnet_cond": picture}
        down, middle = self.controlnet(noised, timesteps, **beside, return_dict=False)
        tokens, present = self.companion_tokens(batch)
        return self.unet(
            noised, timesteps, down_block_additional_residuals=down, mid_block_additional_residual=middle,
            cross_attention_kwargs=self.injection.condition(tokens, present=present), **told,
        ).sample  # fmt: skip

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"controlnet": self.controlnet}
