"""Keys and values of the base's own text, computed once a picture instead of once a step."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mien.adapters.blocks import attention_modules
from mien.adapters.plan import BaseKeys


def base_keys(unet: nn.Module, text: Tensor, rows: Tensor | None = None) -> BaseKeys | None:
    """K = W_k c and V = W_v c of every cross-attention of the base.

    Args:
        unet: the base (``UNet2DConditionModel``).
        text: states [T, L, D] of the distinct texts.
        rows: which text each row of the UNet's batch has, int64 [batch]; None when row i has text i.

    Returns:
        What ``BranchPlan.text`` takes; None where the UNet has to do it itself in every call: its weights are elsewhere
        (offloaded), or it projects its text states first.
    """
    if getattr(unet, "encoder_hid_proj", None) is not None:
        return None
    keys, values = {}, {}
    for block, layer in attention_modules(unet):
        attn: Any = layer
        if not attn.is_cross_attention:
            continue
        if any(part.device != text.device for part in attn.to_k.parameters()):
            return None
        source = attn.norm_encoder_hidden_states(text) if attn.norm_cross else text
        keys[block], values[block] = attn.to_k(source), attn.to_v(source)
    return BaseKeys(keys, values, rows)
