"""A base with everything that was asked for: adapters, LoRA files, precision, device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mien.adapters.injection import Injection
from mien.adapters.published import read_adapter
from mien.assets import require_asset
from mien.assets.registry import assets
from mien.errors import BadInput
from mien.pipelines.bases import is_small, open_base
from mien.pipelines.few_step import is_few_step, read_few_step
from mien.pipelines.image_encoder import add_image_encoder
from mien.pipelines.load_options import Loading
from mien.pipelines.loras import add_loras

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def load(base: str, loading: Loading) -> PortraitPipeline:
    """A pipeline that is ready to draw.

    Args:
        base: see :func:`mien.pipelines.bases.open_base`.
        loading: what is added to it, and how it runs.

    Raises:
        MissingAsset: if the base, an adapter or a LoRA file is not there.
        BadInput: if the base is of another kind, or there is no such device.
        ConfigError: if an adapter or a LoRA file does not fit the base.
    """
    full = not is_small(base)
    device = choose_device(loading.device, full)
    if loading.offload and device == "cpu":
        raise BadInput("Offloading keeps most of a model away from the GPU, and there is none here: leave it out.")
    precision = loading.precision
    if precision == "auto":
        precision = "fp16" if full and device != "cpu" else "fp32"
    with without_bars():
        pipeline = open_base(base, _DTYPES[precision])
        add_adapters(pipeline, loading.adapters)
        add_image_encoder(pipeline, loading.image_encoder)
        add_loras(pipeline, loading.loras)
    if loading.tiling:
        if not hasattr(pipeline.vae, "enable_tiling"):
            raise BadInput("The autoencoder of this base works in one piece: leave tiling out.")
        pipeline.vae.enable_tiling()
        pipeline.vae.enable_slicing()
    if loading.offload:
        pipeline.enable_model_cpu_offload(device=device)
        return pipeline
    return pipeline.to(device)


def choose_device(wanted: str, full: bool) -> str:
    """The torch device.

    Args:
        wanted: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        full: whether the base is of full size; a small one is not worth Apple's GPU.

    Raises:
        BadInput: if the wanted one is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted != "auto":
        if not there[wanted]:
            raise BadInput(f"PyTorch finds no {wanted} device here: choose auto or cpu.")
        return wanted
    return next(name for name in ("cuda", "mps", "cpu") if there[name] and (full or name != "mps"))


def add_adapters(pipeline: PortraitPipeline, places: tuple[str, ...]) -> None:
    """Put the branches of adapter files beside the base's own; one of the same kind takes their place.

    Args:
        pipeline: the base.
        places: files of mien's or of the layouts in :mod:`mien.adapters.published`, or names of assets; a file of
            few-step weights is what the speed ``few`` draws with.

    Raises:
        MissingAsset, ConfigError: if a file is not there, cannot be read, or was made for another base.
    """
    for number, place in enumerate(places, 1):
        file = require_asset(place) if place in assets() and not Path(place).exists() else Path(place)
        if is_few_step(file):
            pipeline.few_step, pipeline.parts["few_step"] = read_few_step(file), file
            continue
        branches = read_adapter(file, pipeline.unet, dtype=pipeline.unet.dtype)
        Injection(pipeline.unet, branches)  # a file of ours is read without the base; this checks that it fits
        for branch in branches.values():
            for name in [name for name, own in pipeline.adapters.items() if own.kind == branch.kind]:
                del pipeline.adapters[name]
            pipeline.adapters[branch.kind] = branch
        pipeline.parts[f"adapter:{number}"] = file  # parts are recorded, and a file's name is often somebody's


def load_pipeline(base: str, loading: Loading | None = None) -> PortraitPipeline:
    """The pipeline of a base, on the GPU if there is one.

    Args:
        base: see `mien.pipelines.bases.open_base`.
        loading: what is added to it, and how it runs.

    Raises:
        MienError: if it cannot be loaded.
    """
    pipeline = load(base, loading or Loading())
    pipeline.set_progress_bar_config(disable=True)  # one bar for the whole request, not one a picture
    return pipeline


@contextmanager
def without_bars() -> Iterator[None]:
    """No progress bars of diffusers, transformers and their hub inside: loading takes a second.

    Afterwards all are as they were, since what else the program loads is no matter of ours.
    """
    import diffusers.utils.logging
    import huggingface_hub.utils as hub
    import transformers.utils.logging

    libraries = (diffusers.utils.logging, transformers.utils.logging)
    shown = [library for library in libraries if library.is_progress_bar_enabled()]
    hub_shown = not hub.are_progress_bars_disabled()
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()
        if not hub_shown:  # transformers switches the hub's with its own
            hub.disable_progress_bars()


def picture_size(pipeline: PortraitPipeline) -> int:
    """Side of the pictures that a pipeline draws, in pixels."""
    return int(pipeline.unet.config.sample_size * pipeline.vae_scale_factor)


def branch_kinds(pipeline: PortraitPipeline) -> frozenset[str]:
    """Kinds of branches that a pipeline has; "expression" only together with its image encoder.

    "face" is among them where the identity branch looks at the face's picture (FaceID Plus).
    """
    kinds = {branch.kind for branch in pipeline.adapters.values()}
    if getattr(pipeline, "controlnet", None) is not None:
        kinds.add("landmarks")
    if any(getattr(getattr(branch, "encoder", None), "looks", False) for branch in pipeline.adapters.values()):
        kinds.add("face")
    return frozenset(kinds - {"expression"} if pipeline.expression_encoder is None else kinds)
