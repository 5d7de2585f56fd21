"""Train a ControlNet on landmark pictures over a frozen base: what FaceCrafter's Table 1 compares with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mien.models.controlnet import build_controlnet
from mien.training.objectives.frozen import FrozenBaseObjective
from mien.training.sources import Sources


class ControlNetObjective(FrozenBaseObjective):
    """The diffusion loss with diffusers' ControlNet beside the base; only the ControlNet is trained.

    Args:
        sources: where the base is.
        **settings: see :class:`FrozenBaseObjective`; every row has its condition, as a ControlNet's users train it.
    """

    def __init__(self, sources: Sources, **settings: Any) -> None:
        super().__init__(sources, "landmarks", **settings)
        controlnet: Any = build_controlnet(self.unet, explicit=self.attention == "explicit")
        self.controlnet = controlnet.to(memory_format=torch.channels_last)

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output with the ControlNet's residuals."""
        hidden = self.text_states(batch)
        noised = noised.contiguous(memory_format=torch.channels_last)
        down, middle = self.controlnet(
            noised, timesteps, hidden, controlnet_cond=(batch["condition"] + 1) / 2, return_dict=False
        )
        return self.unet(
            noised, timesteps, hidden, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"controlnet": self.controlnet}
