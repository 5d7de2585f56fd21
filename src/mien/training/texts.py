"""The frozen text encoders of a base: one, or the two of SDXL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mien.models.text import ids_output
from mien.pipelines.text import Text, text_of_two
from mien.training.sources import Sources

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection


def frozen_texts(sources: Sources, sizes: str) -> tuple[CLIPTextModel, CLIPTextModelWithProjection | None]:
    """The text encoder of a base, and the second one or None; float32, without gradients.

    Args:
        sources: where they are.
        sizes: of the base, see `mien.training.bases.base_sizes`.
    """
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    first = CLIPTextModel.from_pretrained(sources.path("text_encoder"))
    if sizes != "sdxl":
        return first.float().requires_grad_(False), None
    second = CLIPTextModelWithProjection.from_pretrained(sources.path("text_encoder_2"))
    return first.float().requires_grad_(False), second.float().requires_grad_(False)


@torch.no_grad()
def two_texts(encoders: tuple[nn.Module, nn.Module], batch: Mapping[str, Tensor], id_tokens: tuple[int, int]) -> Text:
    """What SDXL's two text encoders say of the prompts of a batch, as `PortraitXLPipeline` encodes prompts.

    An empty prompt is encoded like any other, as IP-Adapter trains on SDXL.

    Args:
        encoders: the first, and the second with its projection.
        batch: token ids ``ids`` and ``ids_2`` [B, L], face embeddings ``identity`` [B, 512].
        id_tokens: which token of each stands for the face.

    Returns:
        States before the last layer of both side by side [B, L, D], and the second one's pooled vector [B, F].
    """
    ids = (batch["ids"], batch["ids_2"])
    outputs = [
        ids_output(encoder, one, batch["identity"], token, output_hidden_states=True)
        for encoder, one, token in zip(encoders, ids, id_tokens, strict=True)
    ]
    return text_of_two(outputs)
