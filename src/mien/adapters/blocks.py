"""The attention blocks of a UNet that a branch can enter, and how they are named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, cast, get_args

from diffusers.models.attention_processor import Attention
from torch import nn

from mien.errors import ConfigError

Site = Literal["parallel", "serial", "self", "controlnet"]
SITES: tuple[Site, ...] = get_args(Site)


class BlockSpec(NamedTuple):
    """Widths of one attention block.

    Attributes:
        hidden: inner width of queries, keys and values (heads x width of a head).
        heads: number of attention heads.
        cross_dim: width of the tokens its own ``to_k`` reads (the text width for cross-attention).

    Example:
        >>> from mien.adapters import BlockSpec
        >>> spec = BlockSpec(hidden=320, heads=8, cross_dim=768)
        >>> spec.hidden // spec.heads
        40
    """

    hidden: int
    heads: int
    cross_dim: int


def block_key(path: str) -> str:
    """Name of a block: its module path with ``/`` for ``.`` (a legal key of ``nn.ModuleDict``)."""
    return path.replace(".", "/")


def attention_modules(unet: nn.Module) -> Iterator[tuple[str, Attention]]:
    """All attention layers of a UNet as (block key, module), in module order."""
    for path, module in unet.named_modules():
        if isinstance(module, Attention):
            yield block_key(path), module


def describe_unet(unet: nn.Module, site: Site = "parallel") -> dict[str, BlockSpec]:
    """List the blocks of ``unet`` that a branch can enter.

    Works on any ``UNet2DConditionModel`` (SD1.5, SDXL, ours), also on the meta device.

    Args:
        unet: the base model.
        site: ``"parallel"`` and ``"serial"`` list the cross-attentions, ``"self"`` the self-attentions of the
            transformer blocks (EmojiDiff suppl. A.2); ``"controlnet"`` none, since a ControlNet reads the tokens.

    Returns:
        Block key -> widths, in module order, e.g. ``mid_block/attentions/0/transformer_blocks/0/attn2``.

    Raises:
        ConfigError: if the UNet has no such block, or joins text and picture keys in one attention (Kandinsky).

    Example:
        >>> import torch
        >>> from diffusers import UNet2DConditionModel
        >>> from mien.adapters import describe_unet, unet_config
        >>> with torch.device("meta"):
        ...     unet = UNet2DConditionModel.from_config(unet_config("sd15"))
        >>> len(describe_unet(unet)), describe_unet(unet)["mid_block/attentions/0/transformer_blocks/0/attn2"].hidden
        (16, 1280)
    """
    blocks: dict[str, BlockSpec] = {}
    if site == "controlnet":
        return blocks
    for key, module in attention_modules(unet):
        if getattr(module, "added_kv_proj_dim", None) is not None:
            raise ConfigError(
                f"This UNet joins text and picture keys in {key}, which branches cannot enter; use SD-like."
            )
        if module.is_cross_attention == (site == "self") or "/transformer_blocks/" not in f"/{key}":
            continue
        blocks[key] = BlockSpec(module.inner_dim, module.heads, cast(nn.Linear, module.to_k).in_features)
    if not blocks:
        raise ConfigError(
            f"This UNet has no {'self' if site == 'self' else 'cross'}-attention block to enter; use another."
        )
    return blocks


def select_blocks(blocks: Mapping[str, BlockSpec], patterns: str | Iterable[str]) -> dict[str, BlockSpec]:
    """Keep the blocks whose key matches one of the shell patterns, e.g. ``["mid_block/*", "up_blocks/1/*"]``.

    EmojiDiff v1 injects into expression-sensitive blocks only; this is that list.

    Raises:
        ConfigError: if a pattern matches no block.

    Example:
        >>> from mien.adapters import BlockSpec, select_blocks
        >>> blocks = {"mid_block/0": BlockSpec(8, 2, 6), "up_blocks/1/0": BlockSpec(8, 2, 6)}
        >>> list(select_blocks(blocks, "up_blocks/*"))
        ['up_blocks/1/0']
    """
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in patterns:
        if not any(fnmatchcase(key, pattern) for key in blocks):
            raise ConfigError(f"No block is called {pattern!r}; choose among {', '.join(blocks)}.")
    return {key: spec for key, spec in blocks.items() if any(fnmatchcase(key, pattern) for pattern in patterns)}
