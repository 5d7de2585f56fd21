"""Sizes of the branches for each base model, and how many parameters that makes."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

from mien.errors import ConfigError

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from mien.adapters.blocks import Site
    from mien.adapters.branch import Branch

Base = Literal["studio", "sd15", "sdxl"]
BASES: tuple[Base, ...] = get_args(Base)


class BranchPreset(NamedTuple):
    """Settings of one branch: D, the encoder's settings, what a missing condition means, ``local`` (see Branch).

    Example:
        >>> from mien.adapters import branch_preset
        >>> preset = branch_preset("sd15", "emotion")
        >>> preset.token_dim, preset.null
        (256, 'cut')
    """

    token_dim: int
    encoder: dict[str, Any]
    null: Literal["cut", "zeros"] = "cut"
    local: bool = False


# SD at 512 pixels: 16 x 16 = 256 landmark tokens. D = 256 is *inferred*: the keys and values of SD1.5's 16
# cross-attentions cost 24,960 D, and FaceCrafter Table 1 has 11.7 M in all for landmarks, 18 M with emotion.
_LANDMARKS_512 = {"size": 512, "unshuffle": 4, "channels": [64, 128, 256, 256], "residuals": [1, 2, 1, 2]}

PRESETS: dict[Base, dict[str, BranchPreset]] = {
    "studio": {
        "landmarks": BranchPreset(
            128, {"size": 128, "unshuffle": 4, "channels": [48, 64, 96], "residuals": [0, 1, 1]}, local=True
        ),
        "emotion": BranchPreset(128, {"hidden": 128, "tokens": 4}),
        "expression": BranchPreset(
            128, {"feature_dim": 192, "tokens": 0, "pooled": False, "grid": 6}, "zeros", local=True
        ),
        "identity": BranchPreset(128, {"embedding_dim": 512, "hidden": 512, "tokens": 4}, "zeros"),
    },
    "sd15": {
        "landmarks": BranchPreset(256, _LANDMARKS_512),
        "emotion": BranchPreset(256, {"hidden": 256, "tokens": 4}),
        "expression": BranchPreset(768, {"feature_dim": 1024, "tokens": 4, "pooled": True}, "zeros"),
        "identity": BranchPreset(768, {"embedding_dim": 512, "hidden": 1024, "tokens": 4}, "zeros"),
    },
    "sdxl": {
        "landmarks": BranchPreset(256, _LANDMARKS_512),
        "emotion": BranchPreset(256, {"hidden": 256, "tokens": 4}),
        "expression": BranchPreset(2048, {"feature_dim": 1280, "tokens": 4, "pooled": True}, "zeros"),
        "identity": BranchPreset(2048, {"embedding_dim": 512, "hidden": 1024, "tokens": 4}, "zeros"),
    },
}


def branch_preset(base: str, kind: str) -> BranchPreset:
    """Settings of a branch for a base model.

    To be used through :func:`preset_branch`.

    Raises:
        ConfigError: for an unknown base or kind.

    Example:
        >>> from mien.adapters import branch_preset
        >>> branch_preset("studio", "landmarks").encoder["size"]
        128
    """
    _check(base)
    presets = PRESETS[cast(Base, base)]
    if kind not in presets:
        raise ConfigError(f"A branch of kind {kind!r} is unknown; choose among {', '.join(presets)}.")
    return presets[kind]


def preset_branch(unet: UNet2DConditionModel, base: str, kind: str, site: Site = "parallel") -> Branch:
    """A fresh branch of a kind in the size that belongs to a base model.

    Args:
        unet: the base's UNet; only its widths are read.
        base: ``studio``, ``sd15`` or ``sdxl``.
        kind: see :class:`mien.adapters.Branch`.
        site: where it enters, likewise.

    Raises:
        ConfigError: for an unknown base or kind.

    Example:
        >>> import torch
        >>> from diffusers import UNet2DConditionModel
        >>> from mien.adapters import preset_branch, unet_config
        >>> with torch.device("meta"):
        ...     unet = UNet2DConditionModel.from_config(unet_config("studio"))
        >>> preset_branch(unet, "studio", "emotion").encode(torch.zeros(2, 10)).shape
        torch.Size([2, 4, 128])
    """
    from mien.adapters.branch import Branch

    chosen = branch_preset(base, kind)
    if site == "controlnet":  # a ControlNet reads tokens as wide as its text, and knows no places
        chosen = chosen._replace(token_dim=unet.config["cross_attention_dim"], local=False)
    return Branch.for_unet(
        unet, kind, chosen.token_dim, encoder=chosen.encoder, null=chosen.null, local=chosen.local, site=site
    )


def unet_config(base: str) -> dict[str, Any]:
    """Configuration of a base's ``UNet2DConditionModel``, embedded as data.

    Raises:
        ConfigError: for an unknown base.

    Example:
        >>> from mien.adapters import unet_config
        >>> unet_config("sd15")["cross_attention_dim"]
        768
    """
    _check(base)
    return json.loads(resources.files("mien.adapters").joinpath(f"configs/{base}.json").read_text(encoding="utf-8"))


def counts(base: str) -> dict[str, int]:
    """Number of parameters of each part for a base model; no weights are loaded or allocated (meta device).

    Args:
        base: ``studio``, ``sd15`` or ``sdxl``.

    Returns:
        ``unet``, ``landmarks``, ``emotion``, ``expression``, ``identity`` (each branch in all: encoder, keys and
        values) and ``controlnet`` (diffusers' ControlNet of that UNet, the papers' comparison).

    Raises:
        ConfigError: for an unknown base.

    Example:
        >>> from mien.adapters import counts
        >>> round(counts("studio")["emotion"] / 1e6, 1)
        0.5
    """
    import torch
    from diffusers import ControlNetModel, UNet2DConditionModel

    with torch.device("meta"):
        unet = cast(UNet2DConditionModel, UNet2DConditionModel.from_config(unet_config(base)))
        parts: dict[str, torch.nn.Module] = {"unet": unet}
        for kind in ("landmarks", "emotion", "expression", "identity"):
            parts[kind] = preset_branch(unet, base, kind)
        parts["controlnet"] = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
    return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}


def _check(base: str) -> None:
    if base not in BASES:
        raise ConfigError(f"A base model {base!r} is unknown; choose among {', '.join(BASES)}.")
