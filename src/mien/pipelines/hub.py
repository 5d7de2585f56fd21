"""Models of ours on the hub: diffusers knows neither our classes nor the files beside their components."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import DiffusionPipeline
from huggingface_hub import snapshot_download

OURS = ("PortraitPipeline", "PortraitXLPipeline")
"""How the ``model_index.json`` of a model of ours begins: its ``_class_name``."""
PATTERNS = ["*.json", "*.txt", "*.safetensors"]
"""What is fetched: nothing that could hold code."""
OPTIONS = ("revision", "cache_dir", "local_files_only", "token", "force_download")
"""Of ``DiffusionPipeline.from_pretrained``: how the hub is asked."""


def is_ours(index: Mapping[str, Any]) -> bool:
    """Whether a ``model_index.json`` is that of a model of ours."""
    return index.get("_class_name") in OURS


def fetch_ours(name: str, options: Mapping[str, Any] | None = None) -> Path | None:
    """A model of ours from the hub: the folder with its components, ``adapters/`` and the few-step weights.

    Args:
        name: ``OWNER/NAME``.
        options: those of `OPTIONS` are passed on.

    Returns:
        The folder in the hub's cache; None, and nothing but the index fetched, where the model is not one of ours.

    Raises:
        OSError: if there is no such model, or the hub cannot be reached.
        ValueError: if this is no name of the hub.
    """
    asked = {key: value for key, value in (options or {}).items() if key in OPTIONS}
    index: Any = DiffusionPipeline.load_config(name, **asked)
    return Path(snapshot_download(name, allow_patterns=PATTERNS, **asked)) if is_ours(index) else None
