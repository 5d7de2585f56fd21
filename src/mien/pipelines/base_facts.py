"""What is known of a base before any of its weights are loaded: its size, how it takes identities, its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.assets import embedded, require_asset
from mien.core.io import read_json
from mien.errors import BadInput
from mien.models.autoencoder import StudioAutoencoder, pixels_a_latent
from mien.pipelines.bases import INDEX, arc2face_parts, is_arc2face
from mien.pipelines.files import EMBEDDED
from mien.pipelines.hub import is_ours
from mien.provenance.fingerprint import model_hashes

_SIDES = {"studio": 256, "sd15": 512, "arc2face": 512, "sdxl": 1024}
"""Side in pixels of the pictures of the bases that go by a name."""
_SD15_PARTS = ("vae", "tokenizer", "scheduler")
"""What Arc2Face takes from Stable Diffusion 1.5."""
_NOT_DRAWING = ("safety_checker", "feature_extractor")


def base_picture_size(base: str) -> int:
    """Side in pixels of the pictures that a base draws.

    Raises:
        BadInput: if it is neither one of the published bases nor a folder with a UNet and an autoencoder.
    """
    if base in _SIDES:
        return _SIDES[base]
    if is_arc2face(base):
        return _SIDES["arc2face"]
    unet, vae = (Path(base) / part / "config.json" for part in ("unet", "vae"))
    if not unet.is_file() or not vae.is_file():
        raise BadInput(f"There is no base {base}; give {', '.join(_SIDES)}, or a folder in diffusers' layout.")
    config = read_json(vae)
    own = config.get("_class_name") == StudioAutoencoder.__name__
    scale = pixels_a_latent(config) if own else 2 ** (len(config["block_out_channels"]) - 1)
    return int(read_json(unet)["sample_size"]) * scale


def base_identity_mode(base: str) -> str:
    """Where a base takes identities: ``prompt`` or ``branch``, as `mien.pipelines.bases.open_base` opens it."""
    if base in EMBEDDED or is_arc2face(base):
        return "prompt"
    index = _index(Path(base))
    if not is_ours(index):
        return "branch"
    return index.get("identity_mode") or ("branch" if "text_encoder_2" in index else "prompt")


def base_hashes(base: str) -> dict[str, str]:
    """sha256 of the files of a base that its pictures depend on, by their places in a model folder.

    Raises:
        MissingAsset: if the weights of a published base are not here.
        BadInput: for a base on the hub, whose files are not here.
    """
    if base in EMBEDDED:
        return model_hashes(embedded("studio"), {})
    path = Path(base)
    if is_arc2face(base):
        own = arc2face_parts(base)
        rest = {part: require_asset("sd15") / part for part in _SD15_PARTS}
        return model_hashes(None, rest | {part: own[part] for part in ("unet", "text_encoder")})
    if path.is_file():
        return model_hashes(None, {"base": path})
    folder = require_asset(base) if base in ("sd15", "sdxl") else path
    if not (folder / INDEX).is_file():
        raise BadInput(f"The files of {base} are not here: give a folder in diffusers' layout.")
    index = _index(folder)
    if is_ours(index):
        return model_hashes(folder, {})
    parts = [part for part in index if (folder / part).is_dir() and part not in _NOT_DRAWING]
    return model_hashes(None, {part: folder / part for part in parts})


def _index(folder: Path) -> Mapping[str, Any]:
    return read_json(folder / INDEX) if (folder / INDEX).is_file() else {}
