"""Branches as files that stock diffusers loads, with ``load_ip_adapter``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien.adapters.blocks import attention_modules, describe_unet
from mien.adapters.branch import Branch
from mien.adapters.encoders import ExpressionProjection, IdentityProjection
from mien.adapters.low_rank import LINEARS
from mien.core.weights import write_weights
from mien.errors import ConfigError

TOKENS = 4
"""What diffusers takes for granted in both layouts."""


def export_ip_adapter(branch: Branch, unet: nn.Module, path: Path | str, dtype: torch.dtype | None = None) -> None:
    """Write a branch in IP-Adapter's layout (or FaceID's, where its encoder is an MLP), atomically.

    A block that the branch does not enter gets values of zero there, which add exactly nothing.

    Args:
        branch: an expression or identity branch.
        unet: the base it belongs to; only its widths are read.
        path: the file, ``*.safetensors``.
        dtype: to store; as it is when None.

    Raises:
        ConfigError: if that layout cannot say what the branch does.

    Example:
        >>> import torch
        >>> from diffusers import UNet2DConditionModel
        >>> from mien.adapters import Branch, export_ip_adapter, read_adapter, unet_config
        >>> with torch.device("meta"):
        ...     unet = UNet2DConditionModel.from_config(unet_config("studio"))
        >>> width, encoder = unet.config["cross_attention_dim"], {"feature_dim": 20, "tokens": 4}
        >>> branch = Branch.for_unet(unet, "expression", width, null="zeros", encoder=encoder)
        >>> export_ip_adapter(branch, unet, "ip-adapter.safetensors")
        >>> list(read_adapter("ip-adapter.safetensors", unet))
        ['expression']
    """
    base: Any = unet
    width: int = base.config.cross_attention_dim
    _check(branch, width)
    tensors: dict[str, Tensor] = {f"image_proj.{key}": value for key, value in branch.encoder.state_dict().items()}
    pairs, blocks = branch.projections(), describe_unet(unet)
    if not set(pairs) <= set(blocks):
        raise ConfigError("The branch was made for another base: it enters blocks that this one lacks.")
    for number, (key, _) in enumerate(attention_modules(unet)):
        place = f"ip_adapter.{number}"
        if key in blocks:
            for letter in "kv":
                own = getattr(pairs[key], f"to_{letter}").weight if key in pairs else None
                tensors[f"{place}.to_{letter}_ip.weight"] = (
                    torch.zeros(blocks[key].hidden, width) if own is None else own
                )
        if branch.low_rank is not None:
            for name in LINEARS:
                for end in ("down", "up"):
                    tensors[f"{place}.{name}_lora.{end}.weight"] = branch.get_parameter(
                        f"low_rank.{key}.{name}.{end}.weight"
                    )
    stored = {key: value.detach().to("cpu", dtype or value.dtype).contiguous() for key, value in tensors.items()}
    write_weights(path, stored)


def _check(branch: Branch, width: int) -> None:
    encoder, reasons = branch.encoder, []
    plain = isinstance(encoder, ExpressionProjection) and encoder.pooled
    mlp = isinstance(encoder, IdentityProjection)
    if not (plain or mlp):
        reasons.append(f"its {type(encoder).__name__} has no place there")
    elif encoder.tokens != TOKENS:
        reasons.append(f"it makes {encoder.tokens} tokens, not {TOKENS}")
    elif mlp and branch.get_parameter("encoder.proj.0.bias").numel() % encoder.condition_shape[0]:
        reasons.append("its MLP is no whole number of times wider than what it reads")
    if branch.config["token_dim"] != width:
        reasons.append(f"its tokens are {branch.config['token_dim']} wide, not {width} as the text's")
    if branch.null != "zeros":
        reasons.append("what is missing is cut there, not zeros")
    if branch.site != "parallel":
        reasons.append(f"it enters at the {branch.site} site")
    if branch.config["local"]:
        reasons.append("it attends by place")
    if reasons:
        raise ConfigError(f"IP-Adapter's layout cannot say what the {branch.label} branch does: {'; '.join(reasons)}.")
