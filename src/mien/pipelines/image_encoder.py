"""The image encoder that adapters read pictures through: which one they were made with, and whether it is that one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.adapters.branch import Branch
from mien.assets import find_asset
from mien.assets.lookup import how_to_get
from mien.assets.registry import asset
from mien.errors import BadInput
from mien.pipelines.features import check_width
from mien.pipelines.variants import variant_of

if TYPE_CHECKING:
    import torch
    from transformers import CLIPVisionModelWithProjection

    from mien.pipelines.portrait import PortraitPipeline

_VIT_H, _VIT_BIGG = "ip-adapter-image-encoder-vit-h", "ip-adapter-image-encoder-vit-bigg"
_ASSETS = {
    ("linear", 1024): _VIT_H,
    ("linear", 1280): _VIT_BIGG,
    ("resampler", 1280): _VIT_H,
    ("resampler", 1664): _VIT_BIGG,
    ("face resampler", 1280): _VIT_H,
}
"""Type of an adapter's encoder and width of what it reads -> the asset of the image encoder with that width."""


def add_image_encoder(pipeline: PortraitPipeline, folder: Path | None) -> None:
    """Load CLIP's image encoder for adapters that read pictures through it.

    Args:
        pipeline: a base with its adapters; one that has an encoder keeps it.
        folder: the encoder; the asset that fits the adapters when None, if it is here. Without one, a pipeline can
            still be given features.

    Raises:
        BadInput: if the folder holds no such encoder, or one of another width than the adapters read.
    """
    if folder is not None or pipeline.expression_encoder is None:
        name = wanted_asset(pipeline.adapters)
        found = None if name is None else find_asset(name)
        place = folder or (None if name is None or found is None else found / Path(asset(name).files[0].name).parent)
        if place is not None:
            pipeline.register_modules(expression_encoder=_open(place, pipeline.unet.dtype))
            pipeline.parts["image_encoder"] = place
    for branch in pipeline.adapters.values():
        check_width(branch, pipeline.expression_encoder)


def wanted_asset(adapters: Mapping[str, Branch]) -> str | None:
    """The image encoder that the first of the adapters that reads through a published one was made with."""
    for branch in adapters.values():
        settings: dict[str, Any] = branch.config["encoder_config"] or {}
        if (name := _ASSETS.get((settings.get("type"), settings.get("feature_dim")))) is not None:  # type: ignore[arg-type]
            return name
    return None


def missing_encoder(pipeline: PortraitPipeline) -> str | None:
    """The end of a sentence about adapters that cannot read pictures, or None if they can."""
    name = None if pipeline.expression_encoder is not None else wanted_asset(pipeline.adapters)
    return None if name is None else f"reads pictures through {asset(name).title}: {how_to_get(name)}"


def _open(folder: Path, dtype: torch.dtype) -> CLIPVisionModelWithProjection:
    from transformers import CLIPVisionModelWithProjection

    options: dict[str, Any] = {"torch_dtype": dtype, "output_loading_info": True, "variant": variant_of([folder])}
    try:
        loaded: Any = CLIPVisionModelWithProjection.from_pretrained(folder, use_safetensors=True, **options)
        encoder, report = loaded
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # of a damaged folder transformers raises whatever its bytes lead to
        raise BadInput(f"{folder} holds no CLIP image encoder with its config.json; give its folder.") from error
    if lacking := sorted(report["missing_keys"]):
        raise BadInput(
            f"{folder} holds no whole CLIP image encoder: it lacks {len(lacking)} weights, such as {lacking[0]}."
        )
    return encoder.eval()
