"""Weights that lie in a folder as a variant alone: ``model.fp16.safetensors``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mien.errors import BadInput

HALF = "fp16"
"""What diffusers and transformers call weights in half precision."""


def variant_of(parts: Iterable[Path]) -> str | None:
    """The variant in which folders have their weights, where one has them in no other form.

    Args:
        parts: folders of models; those that are not there are passed over.

    Returns:
        ``fp16``, mostly; None where the weights have their plain names.

    Raises:
        BadInput: if the weights of a part are there as a pickle alone.
    """
    found: set[str] = set()
    for part in parts:
        files = [path.name for path in part.glob("*") if not path.name.startswith(".")]
        weights = [name for name in files if name.endswith(".safetensors")]
        if not weights and any(name.endswith((".bin", ".ckpt", ".pt", ".pth")) for name in files):
            raise BadInput(f"{part} holds its weights as a pickle, which mien does not open: get safetensors.")
        # diffusion_pytorch_model.fp16.safetensors, model.fp16-00001-of-00002.safetensors
        named = {name.split(".")[1].split("-")[0] for name in weights if name.count(".") > 1}
        if weights and all(name.count(".") > 1 for name in weights):
            found |= {HALF} & named or named
    return min(found, default=None)
