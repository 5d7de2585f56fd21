"""Adapter files from one layout to another, without any base's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast, get_args

import torch
from diffusers import UNet2DConditionModel

from mien.adapters.export import export_ip_adapter
from mien.adapters.files import save_adapter
from mien.adapters.injection import Injection
from mien.adapters.presets import BASES, unet_config
from mien.adapters.published import read_adapter
from mien.core.io import read_json
from mien.errors import BadInput

Layout = Literal["mien", "ip-adapter"]


def convert_adapter(
    source: Path, output: Path, base: str, layout: str = "mien", branch: str | None = None, half: bool = False
) -> list[str]:
    """Read an adapter and write it in another layout.

    Args:
        source: a file that :func:`read_adapter` reads.
        output: the file to write, ``*.safetensors``.
        base: whose adapter it is: ``studio``, ``sd15``, ``sdxl``, ``arc2face``, or a folder in diffusers' layout.
        layout: ``mien``: all branches, with their settings; ``ip-adapter``: one, as ``load_ip_adapter`` of stock
            diffusers takes it.
        branch: which one goes into IP-Adapter's layout, for that layout only; the only one when None.
        half: store float16.

    Returns:
        Names of the branches written.

    Raises:
        BadInput: for an unknown layout, base or branch, or an output that is no ``.safetensors``.
        MissingAsset, ConfigError: if the file cannot be read, was made for another base, or the layout cannot say what
            the branch does.
    """
    if layout not in get_args(Layout):
        raise BadInput(f"The layout {layout!r} is unknown; choose mien or ip-adapter.")
    if output.suffix != ".safetensors":
        raise BadInput(f"{output} must end in .safetensors: mien writes no pickles.")
    if layout == "mien" and branch is not None:
        raise BadInput("--branch chooses what goes into --layout ip-adapter; mien's keeps every branch: leave it out.")
    unet = base_shape(base)
    dtype = torch.float16 if half else None
    found = read_adapter(source, unet, dtype=None)
    Injection(unet, found)  # a file of ours is read without the base; this checks that it fits
    if layout == "mien":
        save_adapter(output, found, dtype=dtype)
        return list(found)
    if branch is None and len(found) > 1:
        raise BadInput(f"{source} holds several branches: name one of {', '.join(found)} with --branch.")
    name = branch or next(iter(found))
    if name not in found:
        raise BadInput(f"{source} holds no branch {name!r}; choose among {', '.join(found)}.")
    export_ip_adapter(found[name], unet, output, dtype)
    return [name]


def base_shape(base: str) -> UNet2DConditionModel:
    """The UNet of a base without its weights, on the meta device.

    Args:
        base: ``studio``, ``sd15``, ``sdxl``, ``arc2face``, or a folder in diffusers' layout.

    Raises:
        BadInput: if there is no such base.
    """
    config_file = Path(base) / "unet" / "config.json"
    if base in (*BASES, "arc2face"):
        config = unet_config("sd15" if base == "arc2face" else base)
    elif config_file.is_file():
        config = read_json(config_file)
    else:
        raise BadInput(
            f"There is no base {base!r}: use {', '.join(BASES)}, arc2face, or a folder with unet/config.json."
        )
    with torch.device("meta"):
        return cast(UNet2DConditionModel, UNet2DConditionModel.from_config(config))
