"""The studio's own models: autoencoder, text encoder with identity prompts."""

from __future__ import annotations

from mien.models.autoencoder import StudioAutoencoder
from mien.models.text import (
    ID_PROMPT,
    build_text_encoder,
    encode_prompt,
    identity_tokens,
    load_or_train_tokenizer,
    train_tokenizer,
)

__all__ = [
    "ID_PROMPT",
    "StudioAutoencoder",
    "build_text_encoder",
    "encode_prompt",
    "identity_tokens",
    "load_or_train_tokenizer",
    "train_tokenizer",
]
