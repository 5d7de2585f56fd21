"""Which modules of a ``UNet2DConditionModel`` come before its first cross-attention, and which lie deep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

Unit = tuple[nn.Module, ...]


def shared_modules(unet: nn.Module) -> Iterator[nn.Module]:
    """Modules before the first cross-attention, in the order in which they run.

    Rows of a batch that differ in their cross-attention alone are equal in all of them.
    """
    base: Any = unet
    yield base.conv_in
    for block in base.down_blocks:
        if not getattr(block, "attentions", None):
            yield block
            continue
        yield block.resnets[0]
        first = block.attentions[0]
        inner = getattr(first, "transformer_blocks", None)
        if inner and type(inner[0].norm1) is nn.LayerNorm and not inner[0].only_cross_attention:
            yield from (first.norm, first.proj_in, inner[0].norm1, inner[0].attn1)
        return


def deep_modules(unet: nn.Module, depth: int) -> list[nn.Module]:
    """Modules that a step without deep features leaves out (DeepCache, Ma et al. 2024, sec. 3.2).

    Skip connection 0 leads from the first convolution to the last layer of the way up, skip connection d from the d-th
    layer or downsampling of the way down to the d-th last layer of the way up. Such a step runs the connections 0 to
    ``depth`` of both ways; what comes up from below is the last full step's.

    Args:
        unet: the UNet.
        depth: 0 or more; from the number of skip connections on, nothing is left out.
    """
    base: Any = unet
    found: list[nn.Module] = []
    connection = 0
    for block in base.down_blocks:
        layers = _layers(block) + [(one,) for one in block.downsamplers or ()]
        left_out = [connection + number > depth for number in range(1, len(layers) + 1)]
        found += _chosen(block, layers, left_out)
        connection += len(layers)
    if depth > connection:
        return []
    if base.mid_block is not None:
        found.append(base.mid_block)
    for block in base.up_blocks:
        layers = _layers(block)
        left_out = [connection - number > depth for number in range(len(layers))]
        connection -= len(layers)
        if left_out[-1]:
            layers.append(tuple(block.upsamplers or ()))
            left_out.append(True)
        found += _chosen(block, layers, left_out)
    return found


def _layers(block: Any) -> list[Unit]:
    """A block's layers: each a residual block, with its attention where there is one."""
    attentions = getattr(block, "attentions", None)
    return list(zip(block.resnets, attentions, strict=True)) if attentions else [(one,) for one in block.resnets]


def _chosen(block: nn.Module, layers: list[Unit], left_out: list[bool]) -> list[nn.Module]:
    """The block itself where it is left out as a whole, else the modules of its layers that are."""
    if all(left_out):
        return [block]
    return [module for layer, out in zip(layers, left_out, strict=True) if out for module in layer]
