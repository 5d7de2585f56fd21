"""LoRA files of others on a base: what of them fits is counted, and what does not is said."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from mien.core.weights import check_suffix, is_safetensors, read_weights
from mien.errors import ConfigError, MissingAsset, first_line
from mien.pipelines.load_options import Lora

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline

_UP = re.compile(r"[._]lora(_linear_layer)?[._](up|B)(\.[^.]+)?\.weight$")
"""The second matrix of a layer, in the layouts that diffusers reads; where it is zero a layer adds nothing."""


def add_loras(pipeline: PortraitPipeline, loras: tuple[Lora, ...]) -> None:
    """Load LoRA files side by side, each at its weight; a note says so where only a part of one fits.

    Raises:
        MissingAsset: if a file is not there.
        ConfigError: if it is no LoRA, one for another base, or damaged.
    """
    names = [f"lora{number}" for number in range(len(loras))]
    for number, (name, lora) in enumerate(zip(names, loras, strict=True), 1):
        _add(pipeline, lora.file, name)
        pipeline.parts[f"lora:{number}"] = lora.file
    if loras:
        pipeline.set_adapters(names, [lora.weight for lora in loras])


def _add(pipeline: PortraitPipeline, file: Path, name: str) -> None:
    if not file.is_file():
        raise MissingAsset(f"There is no LoRA file {file}; check the path.")
    if not is_safetensors(file):
        raise ConfigError(f"{file} is no LoRA file: give a .safetensors file.")
    check_suffix(file)
    wanted = sum(bool(value.any()) for key, value in read_weights(file).tensors.items() if _UP.search(key))
    try:
        with _quietly():
            pipeline.load_lora_weights(str(file), adapter_name=name)
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # diffusers and peft refuse names and shapes each in its own way
        first = first_line(error)
        raise ConfigError(f"{file} is no LoRA for this base ({first}).") from error
    taken = _acting(pipeline, name)
    if not taken:
        raise ConfigError(f"{file} is no LoRA for this base: none of its {wanted} layers is here.")
    if taken < wanted:
        warnings.warn(f"{taken} of the {wanted} layers of {file} fit this base; the others are left out", stacklevel=3)


def _acting(pipeline: PortraitPipeline, name: str) -> int:
    """How many layers the LoRA of that name adds something to.

    peft finds layers by the ends of their names and gives those that the file does not speak of a B of zeros.
    """
    parts = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    layers: list[Any] = [module for part in parts for module in part.modules() if hasattr(module, "lora_B")]
    return sum(name in layer.lora_B and bool(layer.lora_B[name].weight.any()) for layer in layers)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what libraries say of LoRA files that are as they should be: several, or for the UNet alone."""
    log = logging.getLogger("diffusers.loaders.lora_base")

    def is_news(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("No LoRA keys associated to")

    log.addFilter(is_news)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")
            yield
    finally:
        log.removeFilter(is_news)
