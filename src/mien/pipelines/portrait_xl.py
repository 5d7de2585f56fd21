"""The portrait pipeline on SDXL."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.loaders import StableDiffusionXLLoraLoaderMixin
from diffusers.models.modeling_utils import ModelMixin
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor, nn

from mien.adapters.branch import Branch
from mien.models.text import prompt_output
from mien.pipelines.autoencoders import without_overflow
from mien.pipelines.portrait import PortraitPipeline
from mien.pipelines.text import Text, text_of_two


# diffusers' two LoRA mixins differ in save_lora_weights
class PortraitXLPipeline(StableDiffusionXLLoraLoaderMixin, PortraitPipeline):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Portraits under any subset of conditions, on a base shaped like SDXL.

    What differs from :class:`PortraitPipeline`: two text encoders, whose states before the last layer stand side by
    side; the second one's pooled vector and the picture's sizes as added conditions; an autoencoder that overflows in
    float16. A call takes three options more, with the meaning and the defaults of diffusers' SDXL pipeline (Podell et
    al. 2023, sec. 2.2; in pixels): ``original_size`` (height, width), ``crops_coords_top_left`` (top, left) and
    ``target_size`` (height, width). On a base trained at 1024 pixels, say ``original_size=(1024, 1024)`` with smaller
    pictures.

    Example:
        >>> import mien
        >>> pipe = mien.load("sdxl", adapters="adapter.safetensors")  # doctest: +SKIP
        >>> out = pipe(prompt="a portrait", original_size=(1024, 1024))  # doctest: +SKIP

    Args:
        vae: see :class:`PortraitPipeline`.
        text_encoder: CLIP ViT-L's text model.
        text_encoder_2: ViT-bigG's, with projection.
        tokenizer: of the first.
        tokenizer_2: of the second.
        unet: the base model.
        scheduler: likewise.
        expression_encoder: likewise.
        controlnet: likewise.
        adapters: likewise.
        guidance: likewise.
        scales: likewise.
        identity_mode: likewise; by a branch by default, since no published SDXL reads faces in its prompt.
        force_zeros_for_empty_prompt: the text of e(0) is zeros instead of the encoded empty prompt, as SDXL wants.
    """

    model_cpu_offload_seq = "text_encoder->text_encoder_2->expression_encoder->unet->vae"

    def __init__(
        self,
        vae: ModelMixin,
        text_encoder: nn.Module,
        text_encoder_2: nn.Module,
        tokenizer: Any,  # diffusers evaluates these types when it loads
        tokenizer_2: Any,
        unet: UNet2DConditionModel,
        scheduler: SchedulerMixin,
        expression_encoder: nn.Module | None = None,
        controlnet: ControlNetModel | None = None,
        adapters: dict[str, Branch] | None = None,
        guidance: dict[str, float] | None = None,
        scales: dict[str, float] | None = None,
        identity_mode: str = "branch",
        force_zeros_for_empty_prompt: bool = True,
    ) -> None:
        super().__init__(
            vae, text_encoder, tokenizer, unet, scheduler, expression_encoder, controlnet, adapters, guidance, scales,
            identity_mode,
        )  # fmt: skip
        self.register_modules(text_encoder_2=text_encoder_2, tokenizer_2=tokenizer_2)
        self.register_to_config(force_zeros_for_empty_prompt=force_zeros_for_empty_prompt)
        self._name_tokenizer("tokenizer_2")

    def _encode(self, prompts: list[str], identity: Tensor | None = None, chunks: int = 1) -> Text:
        """Encode prompts with both; a face embedding goes into the prompt of each."""
        pairs = ((self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2))
        outputs = [prompt_output(*pair, prompts, identity, chunks, output_hidden_states=True) for pair in pairs]
        return text_of_two(outputs, self._execution_device)

    def _encode_null(self, prompt: str, chunks: int = 1) -> Text:
        text = self._encode([prompt], chunks=chunks)
        zeros = not prompt and self.config["force_zeros_for_empty_prompt"]
        return text.map(torch.zeros_like) if zeros else text

    def _added_conditions(
        self,
        text: Text,
        size: tuple[int, int],
        *,
        original_size: tuple[int, int] | None = None,
        crops_coords_top_left: tuple[int, int] = (0, 0),
        target_size: tuple[int, int] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        super()._added_conditions(text, size, **options)  # what is left over is unknown
        assert text.pooled is not None
        drawn = tuple(side * self.vae_scale_factor for side in size)
        sizes = [*(original_size or drawn), *crops_coords_top_left, *(target_size or drawn)]
        # float32 even in half precision: the UNet takes sines of them in float32
        rows = torch.tensor([sizes], dtype=torch.float32, device=text.pooled.device).expand(len(text.pooled), -1)
        return {"added_cond_kwargs": {"text_embeds": text.pooled, "time_ids": rows}}

    def _autoencoding(self) -> AbstractContextManager[None]:
        return without_overflow(self.vae)
