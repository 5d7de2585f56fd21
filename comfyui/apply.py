"""Branches into a MODEL of ComfyUI."""

# pyright: reportMissingImports=false
# comfy and its API come with ComfyUI and are in no package registry
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from mien.adapters.branch import Branch
from mien.adapters.files import FORMAT, load_adapter
from mien.adapters.low_rank import LINEARS
from mien.adapters.presets import unet_config
from mien.adapters.published import read_adapter
from mien.core.weights import is_safetensors, read_metadata
from mien.errors import BadInput, ConfigError
from mien.pipelines.features import branch_condition, with_picture

from .blocks import Place, attention_places, check_fit
from .patch import AppliedBranch, Attend, BlockAttention

if TYPE_CHECKING:
    from pathlib import Path

KINDS = "mien_kinds"
"""In ``transformer_options``: kinds of condition that were applied to a model."""
_PUBLISHED = {768: "sd15", 2048: "sdxl"}
"""Width of the text -> the base whose published adapters can be read."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """What a portrait is to be; None leaves a branch out.

    Attributes:
        identity: embedding [512], L2 norm 1.
        face: the same person's face [1, 3, 224, 224] in [-1, 1], for adapters that look at it.
        landmarks: landmark images [P, 3, H, W] in [-1, 1].
        expression: crops [P, 3, H, W] in [-1, 1].
        emotion: [P, 10].
    """

    identity: Tensor | None = None
    face: Tensor | None = None
    landmarks: Tensor | None = None
    expression: Tensor | None = None
    emotion: Tensor | None = None

    def of(self, branch: Branch, image_encoder: Any) -> Tensor | None:
        """What a branch reads of them, or None.

        Raises:
            BadInput: if it reads a picture through an image encoder, and there is none or one of another width.
        """
        condition = getattr(self, branch.kind)
        if condition is None:
            return None
        if branch.kind == "identity":
            return with_picture(branch, image_encoder, condition.reshape(1, -1), self.face)
        return branch_condition(branch, image_encoder, condition) if branch.kind == "expression" else condition


def open_adapter(path: Path, places: Mapping[str, Place]) -> dict[str, Branch]:
    """The branches of a file of mien's or of a published layout (IP-Adapter, FaceID).

    Args:
        path: the file.
        places: the model's attention layers, whose text width tells the base.

    Raises:
        MissingAsset: if the file is absent.
        ConfigError: if it cannot be read or does not fit.
    """
    if path.is_file() and is_safetensors(path) and read_metadata(path).get("format") == FORMAT:
        branches = load_adapter(path)
    else:
        from diffusers import UNet2DConditionModel

        width = next(place.spec.cross_dim for place in places.values() if place.attention == "attn2")
        if width not in _PUBLISHED:
            raise ConfigError(f"No published adapter is known for a model whose text is {width} wide.")
        with torch.device("meta"):
            config: Any = unet_config(cast(Any, _PUBLISHED[width]))
            branches = read_adapter(path, cast(Any, UNet2DConditionModel.from_config(config)))
    check_fit(branches, places)
    return branches


def apply_branches(
    model: Any,
    branches: Mapping[str, Branch],
    conditions: Conditions,
    attention: Attend,
    *,
    scale: float = 1.0,
    span: tuple[float, float] = (0.0, 1.0),
    mask: Tensor | None = None,
    image_encoder: Any = None,
) -> Any:
    """A copy of a model with branches in it.

    Args:
        model: ComfyUI's ``ModelPatcher``.
        branches: name -> branch, of `open_adapter`.
        conditions: those of them that have a branch are used.
        attention: the server's own attention, where no other patch computes a block.
        scale: s_b of all of them.
        span: (start, end) as shares of the sampling, as ComfyUI counts them.
        mask: region [1, H, W] in [0, 1].
        image_encoder: as CLIP of transformers, see `readings.ClipVision`.

    Returns:
        The copy; the model itself is as before.

    Raises:
        BadInput: if no condition has a branch.
        ConfigError: if a branch does not fit the model.
    """
    places = attention_places(model.model.diffusion_model)
    check_fit(branches, places)
    sampling = model.get_model_object("model_sampling")
    sigmas = sampling.percent_to_sigma(span[0]), sampling.percent_to_sigma(span[1])
    applied: list[AppliedBranch] = []
    patched = model.clone()
    with torch.no_grad():
        for branch in branches.values():
            condition = conditions.of(branch, image_encoder)
            if condition is None:
                continue
            applied.append(_with_condition(branch, condition, scale, sigmas, mask))
            if branch.low_rank is not None and scale != 0:
                patched.add_patches(_low_rank_patches(branch, places), 1.0)
    if not applied:
        kinds = ", ".join(sorted({branch.kind for branch in branches.values()}))
        raise BadInput(f"This adapter reads {kinds}, and none of it was given: connect it.")
    options = patched.model_options["transformer_options"]
    options[KINDS] = frozenset(options.get(KINDS, ())) | {one.kind for one in applied}
    before = options.get("patches_replace", {})
    for key in dict.fromkeys(key for one in applied for key in one.keys):
        place = places[key]
        there = before.get(place.attention, {})
        below = there.get(place[:3]) or there.get(place[:2]) or attention
        own = tuple(one for one in applied if key in one.keys)
        put = patched.set_model_attn1_replace if place.attention == "attn1" else patched.set_model_attn2_replace
        put(BlockAttention(key, below, own), place.part, place.number, place.transformer)
    return patched


def _with_condition(
    branch: Branch, condition: Tensor, scale: float, sigmas: tuple[float, float], mask: Tensor | None
) -> AppliedBranch:
    tokens = branch.encode(condition.to(torch.float32))
    if branch.null == "zeros":
        tokens = torch.cat([tokens, branch.null_tokens(1).to(tokens)])
    keys, values = branch.keys_values(tokens)
    return AppliedBranch(
        branch.kind, keys, values, branch.null == "zeros", scale, sigmas, branch.sharpness(),
        branch.encoder.grid or 0, mask,
    )  # fmt: skip


def _low_rank_patches(branch: Branch, places: Mapping[str, Place]) -> dict[str, Any]:
    """A branch's LoRA as ComfyUI takes one: weight's name -> adapter. It acts on every row, as in other programs."""
    from comfy.weight_adapter.lora import LoRAAdapter

    found: dict[str, Any] = {}
    for key, parts in cast(Any, branch.low_rank).items():
        for name in LINEARS:
            weight = f"diffusion_model.{places[key].path}.{name}{'.0' if name == 'to_out' else ''}.weight"
            pair = parts[name].up.weight, parts[name].down.weight
            found[weight] = LoRAAdapter({weight}, (*pair, None, None, None, None))
    return found
