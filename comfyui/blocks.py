"""Which attention layer of a ComfyUI model is which block of a branch.

Branches name blocks as diffusers does (``down_blocks/1/attentions/0/transformer_blocks/0/attn2``); ComfyUI keeps the
layout of the published checkpoints: ``input_blocks[4][1].transformer_blocks[0].attn2``, and its patches count
``("input", 4, 0)``. With n residual blocks in a level, input block 1 + level (n + 1) + j and output block
level (n + 1) + j hold the level's j-th attention; output levels are counted from the deepest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, Literal, NamedTuple

from mien.adapters.blocks import BlockSpec
from mien.adapters.branch import Branch
from mien.errors import ConfigError

Part = Literal["input", "middle", "output"]


class Place(NamedTuple):
    """One attention layer.

    Attributes:
        part: side of the UNet.
        number: of the block there.
        transformer: of the transformer block in it.
        attention: ``attn1`` (itself) or ``attn2`` (the text).
        path: of the layer inside the diffusion model, e.g. ``input_blocks.4.1.transformer_blocks.0.attn2``.
        spec: its widths.
    """

    part: Part
    number: int
    transformer: int
    attention: str
    path: str
    spec: BlockSpec


def attention_places(unet: Any) -> dict[str, Place]:
    """Every attention layer of a ``UNetModel`` of ComfyUI, by the block key of diffusers.

    Args:
        unet: ``model.model.diffusion_model``.

    Raises:
        ConfigError: if it is no UNet with attention, such as Flux or SD3.
    """
    counts = getattr(unet, "num_res_blocks", None)
    if counts is None or not hasattr(unet, "input_blocks"):
        raise ConfigError("mien's branches enter SD1.5 and SDXL models; this one is no UNet of theirs.")
    found: dict[str, Place] = {}
    starts = list(accumulate((count + 1 for count in counts[:-1]), initial=1))
    for level, (start, count) in enumerate(zip(starts, counts, strict=True)):
        for j in range(count):
            _add(found, "input", start + j, unet.input_blocks[start + j], f"down_blocks/{level}/attentions/{j}")
    if unet.middle_block is not None:
        _add(found, "middle", 0, unet.middle_block, "mid_block/attentions/0")
    upwards = list(reversed(counts))
    starts = list(accumulate((count + 1 for count in upwards[:-1]), initial=0))
    for level, (start, count) in enumerate(zip(starts, upwards, strict=True)):
        for j in range(count + 1):
            _add(found, "output", start + j, unet.output_blocks[start + j], f"up_blocks/{level}/attentions/{j}")
    if not found:
        raise ConfigError("This model has no attention layer that a branch could enter.")
    return found


def _add(found: dict[str, Place], part: Part, number: int, block: Any, key: str) -> None:
    for at, layer in enumerate(block):
        for index, transformer in enumerate(getattr(layer, "transformer_blocks", ())):
            for name in ("attn1", "attn2"):
                attention = getattr(transformer, name, None)
                if attention is None:
                    continue
                module = "middle_block" if part == "middle" else f"{part}_blocks.{number}"
                hidden = attention.heads * attention.dim_head
                found[f"{key}/transformer_blocks/{index}/{name}"] = Place(
                    part, number, index, name, f"{module}.{at}.transformer_blocks.{index}.{name}",
                    BlockSpec(hidden, attention.heads, attention.to_k.in_features),
                )  # fmt: skip


def check_fit(branches: Mapping[str, Branch], places: Mapping[str, Place]) -> None:
    """Refuse branches that were made for another base, or that enter where ComfyUI has no door.

    Raises:
        ConfigError: naming the block and both widths.
    """
    for name, branch in branches.items():
        if branch.site not in ("parallel", "self"):
            raise ConfigError(
                f"The branch {name} enters at the site {branch.site}, which ComfyUI cannot patch: use one of the site "
                "parallel or self."
            )
        for key, spec in _wanted(branch):
            there = places.get(key)
            if there is None or there.spec[:2] != spec[:2]:
                found = "absent" if there is None else f"{there.spec.hidden} wide, {there.spec.heads} heads"
                raise ConfigError(
                    f"The branch {name} was made for another base: its block {key} is {spec.hidden} wide with "
                    f"{spec.heads} heads, here it is {found}."
                )


def _wanted(branch: Branch) -> Iterator[tuple[str, BlockSpec]]:
    yield from branch.blocks.items()
    if branch.low_rank is not None:
        yield from ((key, BlockSpec(*spec)) for key, spec in branch.config["lora"]["blocks"].items())
