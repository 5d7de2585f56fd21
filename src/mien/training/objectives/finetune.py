"""Fine-tune a base, whole or through a LoRA: on pictures in another style, or to another prediction type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from mien.training.diffusion import PredictionType
from mien.training.objectives.frozen import FrozenBaseObjective
from mien.training.sources import Sources

_ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


class FineTuneObjective(FrozenBaseObjective):
    """The diffusion loss of a base, prompts as it knows them; text encoder and autoencoder stay.

    Args:
        sources: where the base is.
        style: of `mien.data.restyle`; None leaves the pictures as they are.
        rank: of a LoRA on all attention layers; None trains the whole UNet.
        prediction_type: what the UNet learns to predict; None is what it predicts already.
        **settings: see :class:`FrozenBaseObjective`.
    """

    def __init__(
        self,
        sources: Sources,
        style: str | None = None,
        rank: int | None = None,
        prediction_type: PredictionType | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(sources, "identity", **settings)
        if prediction_type is not None:
            self.scheduler.register_to_config(prediction_type=prediction_type)
        self.style, self.rank = style, rank
        if self.attention == "explicit":
            self.unet.set_attn_processor(AttnProcessor())
        if rank is None:
            self.unet.requires_grad_(True)
        else:
            from peft import LoraConfig

            self.unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=_ATTENTION))

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output for noisy latents under the prompts of a batch."""
        hidden = self.text_states(batch | {"identity": batch["condition"]})
        noised = noised.contiguous(memory_format=torch.channels_last)
        return self.unet(noised, timesteps, hidden).sample

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"unet": self.unet} if self.rank is None else {}

    def export(self, folder: Path) -> None:
        """``unet/``, or ``lora/`` in the layout of ``load_lora_weights``; ``scheduler/``."""
        super().export(folder)
        self.scheduler.save_pretrained(folder / "scheduler")
        if self.rank is not None:
            from diffusers import StableDiffusionPipeline
            from peft import get_peft_model_state_dict

            layers: dict[str, nn.Module | Tensor] = {
                name: value.half().cpu() for name, value in get_peft_model_state_dict(self.unet).items()
            }
            StableDiffusionPipeline.save_lora_weights(folder / "lora", unet_lora_layers=layers)
