"""Fine-tune a base, whole or through a LoRA: on pictures in another style, or to another prediction type."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from mien.training.diffusion import PredictionType
from mien.training.frozen_base import ConditionConfig, FrozenBase, Selection
from mien.training.objectives.condition import DiffusionObjective
from mien.training.sources import Sources

_ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


class FineTuneConfig(ConditionConfig):
    """Options of :class:`FineTuneObjective`.

    Attributes:
        style: of `mien.data.restyle`; None leaves the pictures as they are.
        rank: of a LoRA on all attention layers; None trains the whole UNet.
        prediction_type: what the UNet learns to predict; None is what it predicts already.
    """

    style: str | None = None
    rank: int | None = None
    prediction_type: PredictionType | None = None

    def build(self, sources: Sources) -> FineTuneObjective:
        """See the base class."""
        return FineTuneObjective(sources, self)


class FineTuneObjective(DiffusionObjective[FineTuneConfig]):
    """The diffusion loss of a base, prompts as it knows them; text encoder and autoencoder stay.

    Args:
        sources: where the base is.
        config: the options.
    """

    config_type = FineTuneConfig

    def __init__(self, sources: Sources, config: FineTuneConfig) -> None:
        super().__init__()
        self.config, self.rank = config, config.rank
        self.base = FrozenBase(sources, config, ("identity",), config.style)
        self.unet = self.base.unet
        if config.prediction_type is not None:
            self.base.scheduler.register_to_config(prediction_type=config.prediction_type)
        if self.base.attention == "explicit":
            self.unet.set_attn_processor(AttnProcessor())
        if config.rank is None:
            self.unet.requires_grad_(True)
        else:
            from peft import LoraConfig

            self.unet.add_adapter(LoraConfig(r=config.rank, lora_alpha=config.rank, target_modules=_ATTENTION))

    def gather(self, selection: Selection) -> dict[str, Tensor]:
        """The batch of a selection; the condition is the identity of its prompts."""
        return self.base.gather(selection, "identity")

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output for noisy latents under the prompts of a batch."""
        hidden = self.base.text_states(batch | {"identity": batch["condition"]})
        noised = noised.contiguous(memory_format=torch.channels_last)
        return self.unet(noised, timesteps, hidden).sample

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"unet": self.unet} if self.rank is None else {}

    def export(self, folder: Path) -> None:
        """``unet/``, or ``lora/`` in the layout of ``load_lora_weights``; ``scheduler/``."""
        super().export(folder)
        self.base.scheduler.save_pretrained(folder / "scheduler")
        if self.rank is not None:
            from diffusers import StableDiffusionPipeline
            from peft import get_peft_model_state_dict

            layers: dict[str, nn.Module | Tensor] = {
                name: value.half().cpu() for name, value in get_peft_model_state_dict(self.unet).items()
            }
            StableDiffusionPipeline.save_lora_weights(folder / "lora", unet_lora_layers=layers)
