"""Bases that branches are trained on: the studio's own, SD1.5 and Arc2Face as published, or a folder like theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import DDPMScheduler

from mien.errors import BadInput
from mien.pipelines.bases import arc2face_parts
from mien.training.diffusion import studio_scheduler
from mien.training.sources import Sources

PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
"""Folders of a base in diffusers' layout."""
IDENTITY = ("identity", "arcface.onnx")
"""What embeds faces: the studio's class, or an ArcFace network as Arc2Face publishes it."""
_SIZES = {768: "sd15", 2048: "sdxl"}


def base_parts(base: str) -> dict[str, Path]:
    """Where the parts of a base are.

    Args:
        base: ``studio`` (no parts: runs and the embedded weights have them), ``sd15``, ``arc2face``, or a folder with
            `PARTS` and one of `IDENTITY`.

    Raises:
        MissingAsset: if the weights of a published base are not here.
        BadInput: if a folder lacks a part.
    """
    from mien.assets import require_asset

    if base == "studio":
        return {}
    if base in ("sd15", "arc2face"):
        folder = require_asset("sd15")
        parts = {part: folder / part for part in PARTS}
        if base == "sd15":
            return parts | {"identity": require_asset("arcface-r50")}
        return parts | arc2face_parts(require_asset("arc2face"))
    folder = Path(base)
    identity = next((folder / name for name in IDENTITY if (folder / name).exists()), None)
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if missing or identity is None:
        lacking = ", ".join([*missing, *([] if identity else [" or ".join(IDENTITY)])])
        raise BadInput(
            f"{base} is no base to train on, it lacks {lacking}: give studio, sd15, arc2face, or a folder in the "
            "layout of diffusers with a network that embeds faces."
        )
    return {part: folder / part for part in PARTS} | {"identity": identity}


def base_sizes(unet: Any) -> str:
    """Whose branch sizes a UNet takes, see `mien.adapters.preset_branch`: told by the width of its text."""
    return _SIZES.get(unet.config.cross_attention_dim, "studio")


def base_scheduler(sources: Sources) -> Any:
    """The noise schedule a base was trained on."""
    path: Any = sources.parts.get("scheduler")
    return studio_scheduler() if path is None else DDPMScheduler.from_pretrained(path)


def base_tokenizer(path: Path) -> Any:
    """The tokenizer in a folder."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    whole = (path / "tokenizer.json").exists()
    return (PreTrainedTokenizerFast if whole else AutoTokenizer).from_pretrained(path)


def base_autoencoder(path: Path) -> Any:
    """The autoencoder in a folder: the studio's class or diffusers' AutoencoderKL."""
    from diffusers import AutoencoderKL

    from mien.io import read_json
    from mien.models import StudioAutoencoder

    own = read_json(path / "config.json").get("_class_name") == StudioAutoencoder.__name__
    return (StudioAutoencoder if own else AutoencoderKL).from_pretrained(path).float()
