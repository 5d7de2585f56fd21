"""Number formats of a run: what is computed in, and what frozen layers are held in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.training.config import TrainConfig
    from mien.training.objective import Objective

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_HALVED = (nn.Linear, nn.Conv2d, nn.Embedding)
"""Layers whose weights are held in the compute type: nearly all of a base; norms stay in float32."""


def precision(config: TrainConfig) -> str:
    """The run's precision; float32 on a processor without bfloat16 instructions, where bf16 is many times slower.

    Raises:
        ConfigError: for fp16 without a GPU.
    """
    if torch.cuda.is_available():
        return config.precision
    if config.precision == "fp16":
        raise ConfigError("precision fp16 needs a GPU: set precision to bf16 or no.")
    return config.precision if torch.cpu._is_avx512_bf16_supported() else "no"


def frozen_type(config: TrainConfig, device: torch.device) -> torch.dtype | None:
    """What frozen layers are held in; None leaves them in float32.

    Args:
        config: of the run.
        device: where it is computed; ``auto`` holds them in the compute type on a GPU alone, whose memory they fill.
    """
    kind = _TYPES.get(precision(config))
    wanted = config.frozen == "compute" or (config.frozen == "auto" and device.type == "cuda")
    return kind if wanted else None


def frozen_layers(objective: Objective) -> list[nn.Module]:
    """Layers that a stage uses and does not train: of itself, and of networks that its base holds beside it."""
    base = getattr(objective, "base", None)
    held = [value for value in vars(base).values() if isinstance(value, nn.Module)] if base is not None else []
    layers = dict.fromkeys(layer for network in (objective, *held) for layer in network.modules())
    return [
        layer
        for layer in layers
        if isinstance(layer, _HALVED) and not any(one.requires_grad for one in layer.parameters())
    ]


def hold_frozen(objective: Objective, kind: torch.dtype) -> int:
    """Bring the frozen layers to a type; returns how many bytes less they take.

    Under autocast a layer gives what it gave, since it was brought to this type at every call before.
    """
    saved = 0
    for layer in frozen_layers(objective):
        before = sum(one.nbytes for one in layer.parameters())
        layer.to(kind)
        saved += before - sum(one.nbytes for one in layer.parameters())
    return saved
