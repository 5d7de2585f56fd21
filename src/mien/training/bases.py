"""Bases that branches are trained on: the studio's, SD1.5, SDXL and Arc2Face as published, or a folder like theirs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusers import DDPMScheduler

from mien.core.io import read_json
from mien.errors import BadInput
from mien.pipelines.bases import arc2face_parts
from mien.training.diffusion import studio_scheduler
from mien.training.presets import BASE_NEEDS
from mien.training.sources import AssetPart, Sources

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from transformers import PreTrainedTokenizerBase

    from mien.models import StudioAutoencoder
    from mien.pipelines.features import ImageEncoder

PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
"""Folders of a base in diffusers' layout."""
SECOND = ("text_encoder_2", "tokenizer_2")
"""Those that SDXL has besides."""
IDENTITY = ("identity", "arcface.onnx")
"""What embeds faces: the studio's class, or an ArcFace network as Arc2Face publishes it."""
IMAGE_ENCODER = "image_encoder"
"""What IP-Adapter and diffusers call the folder of the CLIP vision model: our ``expression_encoder``."""
SCALES = (0.5, 0.75, 1.0)
"""Sizes of the pictures in multi-scale training, as shares of the size that SDXL draws: 512, 768 and 1024 pixels.

These are the levels of IP-Adapter's three SDXL stages (issue 256 of its repository; its oblong buckets are left out,
since our pictures are square). EmojiDiff says no more than "random scaling following IP-Adapter": one size for each
batch, with equal probabilities, is *inferred*.
"""
_SIZES = {768: "sd15"}
_HEADS = {"reader/face": AssetPart("mediapipe-face-landmarker")}
_PUBLISHED = {
    "sd15": {
        "expression_encoder": AssetPart("ip-adapter-image-encoder-vit-h", "models/image_encoder"),
        "adapters/image_prompt.safetensors": AssetPart("ip-adapter-sd15"),
        "adapters/faceid.safetensors": AssetPart("ip-adapter-faceid-sd15"),
    },
    "sdxl": {
        "expression_encoder": AssetPart("ip-adapter-image-encoder-vit-bigg", "sdxl_models/image_encoder"),
        "adapters/image_prompt.safetensors": AssetPart("ip-adapter-sdxl"),
        "adapters/faceid.safetensors": AssetPart("ip-adapter-faceid-sdxl"),
    },
}
"""For bases of a size that have none of their own: the image encoder, and the files E-Adapter starts from (A.1)."""


def base_sources(base: str, folders: tuple[Path, ...]) -> Sources:
    """Where a stage on a base looks: in these folders, in the base, and among what others have published for it.

    Args:
        base: see :func:`base_parts`.
        folders: exports of runs, as ``RUN/export``; those before the runs of `BASE_NEEDS` go before the base's parts.
    """
    parts = base_parts(base)
    if not parts:
        return Sources(folders)
    own = (Path(base),) if Path(base).is_dir() and base not in ("sd15", "sdxl", "arc2face") else ()
    assets = _PUBLISHED.get(base_sizes(read_json(parts["unet"] / "config.json")), {}) | _HEADS
    if base == "arc2face":  # FaceID reads the embeddings of another ArcFace
        assets = {part: place for part, place in assets.items() if part != "adapters/faceid.safetensors"}
    before = next((at for at, folder in enumerate(folders) if folder.parent.name in BASE_NEEDS), 0)
    return Sources((*folders, *own), parts, assets, before)


def base_parts(base: str) -> dict[str, Path]:
    """Where the parts of a base are.

    Args:
        base: ``studio`` (no parts: runs and the embedded weights have them), ``sd15``, ``sdxl``, ``arc2face``, or a
            folder with `PARTS` (of SDXL's shape also `SECOND`) and one of `IDENTITY`, and perhaps `IMAGE_ENCODER`.

    Raises:
        MissingAsset: if the weights of a published base are not here.
        BadInput: if a folder lacks a part.
    """
    from mien.assets import require_asset

    if base == "studio":
        return {}
    if base in ("sd15", "sdxl", "arc2face"):
        folder = require_asset("sdxl" if base == "sdxl" else "sd15")
        parts = {part: folder / part for part in (*PARTS, *(SECOND if base == "sdxl" else ()))}
        if base == "arc2face":
            return parts | arc2face_parts("arc2face")
        return parts | {"identity": require_asset("arcface-r50")}
    folder = Path(base)
    identity = next((folder / name for name in IDENTITY if (folder / name).exists()), None)
    wanted = (*PARTS, *(SECOND if any((folder / part).is_dir() for part in SECOND) else ()))
    missing = [part for part in wanted if not (folder / part).is_dir()]
    if missing or identity is None:
        lacking = ", ".join([*missing, *([] if identity else [" or ".join(IDENTITY)])])
        raise BadInput(
            f"{base} is no base to train on, it lacks {lacking}: give studio, sd15, sdxl, arc2face, or a folder in the "
            "layout of diffusers with a network that embeds faces."
        )
    encoder = {"expression_encoder": folder / IMAGE_ENCODER} if (folder / IMAGE_ENCODER).is_dir() else {}
    return {part: folder / part for part in wanted} | {"identity": identity} | encoder


def base_sizes(unet: Mapping[str, Any]) -> str:
    """Whose branch sizes a base takes, see `mien.adapters.preset_branch`.

    Args:
        unet: the configuration of its UNet, which tells SDXL by its added conditions, the others by the width of text.
    """
    if unet.get("addition_embed_type") == "text_time":
        return "sdxl"
    return _SIZES.get(unet["cross_attention_dim"], "studio")


def base_scheduler(sources: Sources) -> DDPMScheduler:
    """The noise schedule a base was trained on."""
    path = sources.find("scheduler")
    if path is None:
        return studio_scheduler()
    scheduler = DDPMScheduler.from_pretrained(path)
    assert isinstance(scheduler, DDPMScheduler)  # and not also options that are left over
    return scheduler


def base_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    whole = (path / "tokenizer.json").exists()
    return (PreTrainedTokenizerFast if whole else AutoTokenizer).from_pretrained(path)


def base_autoencoder(path: Path) -> AutoencoderKL | StudioAutoencoder:
    """The autoencoder in a folder: the studio's class or diffusers' AutoencoderKL."""
    return _autoencoder_type(path).from_pretrained(path).float()


def _autoencoder_type(path: Path) -> type[AutoencoderKL | StudioAutoencoder]:
    from diffusers import AutoencoderKL

    from mien.models import StudioAutoencoder

    own = read_json(path / "config.json").get("_class_name") == StudioAutoencoder.__name__
    return StudioAutoencoder if own else AutoencoderKL


def base_scale_factor(sources: Sources) -> int:
    """How many pixels a side each latent position of a base stands for, e.g. 8; its weights are not read."""
    import torch

    from mien.pipelines.autoencoders import vae_scale_factor

    path = sources.path("vae")
    with torch.device("meta"):
        empty: Any = _autoencoder_type(path).from_config(read_json(path / "config.json"))
    return vae_scale_factor(empty)


def base_expression_encoder(path: Path) -> ImageEncoder:
    """What reads expressions in face crops, float32, in evaluation mode.

    Args:
        path: a folder with the studio's class, or a transformers CLIP vision model with its projection.
    """
    from transformers import CLIPVisionModelWithProjection

    from mien.faces.networks import expression_encoder_type, open_expression_encoder

    if expression_encoder_type(path) is not None:
        return open_expression_encoder(path)
    return CLIPVisionModelWithProjection.from_pretrained(path).float().eval()
