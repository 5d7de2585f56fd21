"""Bases by name, folder, file or hub id: which pipeline they take, and where their parts are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel

from mien.assets import find_asset, require_asset
from mien.core.io import read_json
from mien.errors import BadInput, MienError, MissingAsset, first_line
from mien.pipelines.base_names import check_base
from mien.pipelines.checkpoint import Checkpoint, heeded, read_checkpoint
from mien.pipelines.files import EMBEDDED
from mien.pipelines.fit import check_parts
from mien.pipelines.hub import fetch_ours, is_ours
from mien.pipelines.portrait import PortraitPipeline
from mien.pipelines.portrait_xl import PortraitXLPipeline
from mien.pipelines.variants import HALF, variant_of

INDEX = "model_index.json"
ARC2FACE = {"unet": "arc2face", "text_encoder": "encoder", "identity": "arcface.onnx"}
"""Where the parts lie that Arc2Face publishes; the rest is Stable Diffusion 1.5's."""
_SINGLE_FILES: dict[str, tuple[type[PortraitPipeline], str]] = {
    "v1": (PortraitPipeline, "sd15"),
    "xl_base": (PortraitXLPipeline, "sdxl"),
}
"""diffusers' name of a checkpoint's kind -> pipeline, and the asset that has its tokenizer and configurations."""


def open_base(base: str | Path, dtype: torch.dtype = torch.float32) -> PortraitPipeline:
    """A base on the CPU, with the adapters in its folder.

    Args:
        base: ``studio``, ``sd15``, ``sdxl`` or ``arc2face``; a folder in diffusers' layout or Arc2Face's; one
            ``.safetensors`` file with a whole SD1.5 or SDXL; or a name on the hub.
        dtype: of the weights.

    Returns:
        A `PortraitXLPipeline` for SDXL's shape, else a `PortraitPipeline`. Bases that were not made by mien take the
        identity through a branch, except Arc2Face, which takes it in its prompt.

    Raises:
        MissingAsset: if it is not there, or weights that it needs.
        BadInput: if it is there, but of another kind, or a part of it is missing or damaged.
    """
    check_base(base)
    name, path = str(base), Path(base)
    if name in EMBEDDED:
        return PortraitPipeline.from_pretrained(name, torch_dtype=dtype)
    if name in ("sd15", "sdxl"):
        return _open_folder(require_asset(name), dtype)
    if is_arc2face(name):
        return _open_arc2face(arc2face_parts(name), dtype)
    if path.is_dir():
        if not (path / INDEX).is_file():
            raise BadInput(f"{path} is no base: it has neither {INDEX} nor Arc2Face's arc2face/ and encoder/.")
        return _open_folder(path, dtype)
    if path.is_file():
        return _open_file(path, dtype)
    return _open_hub(name, dtype)


def is_small(base: str | Path) -> bool:
    """Whether a base is of the studio's kind: told by the class of its autoencoder."""
    if str(base) in EMBEDDED:
        return True
    vae = _index_of(Path(base)).get("vae") if (Path(base) / INDEX).is_file() else None
    return vae is not None and vae[1] == "StudioAutoencoder"


def arcface_file(base: str | Path) -> Path:
    """The face recognition network whose embeddings a base of full size, or the adapters made for it, understand.

    Arc2Face's own for Arc2Face, the one in its folder for a base that has one, else that of IP-Adapter-FaceID.

    Raises:
        MissingAsset: if it is not here; the message has the command that fetches it.
    """
    own = Path(base) / ARC2FACE["identity"]
    if own.is_file():
        return own
    return arc2face_parts("arc2face")["identity"] if is_arc2face(base) else require_asset("arcface-r50")


def is_arc2face(base: str | Path) -> bool:
    """Whether a base is Arc2Face: by its name, or a folder in the layout in which it is published."""
    folder = Path(base)
    own = (folder / ARC2FACE["unet"], folder / ARC2FACE["text_encoder"])
    return str(base) == "arc2face" or (not (folder / INDEX).is_file() and all(part.exists() for part in own))


def arc2face_parts(base: str | Path) -> dict[str, Path]:
    """Arc2Face's own parts, by its name or in a folder: ``unet``, ``text_encoder`` and ``identity`` (its ArcFace).

    Raises:
        MissingAsset: if it is not here.
    """
    folder = require_asset("arc2face") if str(base) == "arc2face" else Path(base)
    return {part: folder / place for part, place in ARC2FACE.items()}


def pipeline_class(index: Mapping[str, Any], name: str) -> type[PortraitPipeline]:
    """The pipeline for a ``model_index.json``.

    Args:
        index: its content.
        name: of the base, for messages.

    Raises:
        BadInput: if it is not SD1.5 or SDXL in shape.
    """
    there = {part for part, value in index.items() if isinstance(value, list | tuple) and value[:1] != [None]}
    if {"unet", "vae", "text_encoder", "tokenizer", "scheduler"} <= there and "image_unet" not in there:
        return PortraitXLPipeline if "text_encoder_2" in there else PortraitPipeline
    raise BadInput(
        f"{name} is a {index.get('_class_name')}, which mien cannot steer: use one shaped like Stable Diffusion 1.5 or "
        "SDXL base."
    )


def _open_folder(folder: Path, dtype: torch.dtype) -> PortraitPipeline:
    index = _index_of(folder)
    kind = pipeline_class(index, str(folder))
    variant = variant_of(folder / part for part in ("unet", "vae", "text_encoder", "text_encoder_2"))
    with _whole(folder):
        own = _text_encoders(folder, index, dtype, variant)
        options: dict[str, Any] = {**_manner(index), **({} if variant is None else {"variant": variant})}
        pipeline = kind.from_pretrained(folder, torch_dtype=dtype, use_safetensors=True, **own, **options)
    if not is_ours(index):
        pipeline.folder = None  # the parts are hashed, not the safety checker and whatever else lies there
        pipeline.parts = {part: folder / part for part in pipeline.components if (folder / part).is_dir()}
    check_parts(pipeline, folder)
    return pipeline


def _text_encoders(folder: Path, index: Mapping[str, Any], dtype: torch.dtype, variant: str | None) -> dict[str, Any]:
    """The text encoders of a folder; transformers would draw what a file lacks at random, with a word in a log."""
    import transformers

    found = {}
    for name in ("text_encoder", "text_encoder_2"):
        library, kind = (index.get(name) or (None, None))[:2]
        if library != "transformers" or not isinstance(kind, str) or not kind.startswith("CLIPText"):
            continue  # diffusers says what it is
        place = folder / name
        own = variant if variant and any(place.glob(f"*.{variant}*.safetensors")) else None
        model, report = getattr(transformers, kind).from_pretrained(
            place, torch_dtype=dtype, use_safetensors=True, variant=own, output_loading_info=True
        )
        if lacking := sorted(report["missing_keys"]):
            raise ValueError(f"{name} lacks {len(lacking)} of its weights, such as {lacking[0]}")
        found[name] = model.eval()
    return found


def _index_of(folder: Path) -> dict[str, Any]:
    index = read_json(folder / INDEX)
    if not isinstance(index, dict):
        raise _damaged(folder, f"{INDEX} is no JSON object")
    for part, value in index.items():
        if isinstance(value, list) and len(value) != 2 and not part.startswith("_"):
            raise _damaged(folder, f"{INDEX} names no library and class for {part}")
    return index


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """What the libraries raise where a file of the folder is missing or cut off, in one sentence."""
    try:
        yield
    except (MienError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # of a damaged file the libraries raise whatever its bytes lead to
        if _out_of_memory(error):
            if _asked_for(error) > 4 * sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()):
                raise _damaged(folder, "a config.json asks for far larger weights than are there") from error
            raise MemoryError from error
        raise _damaged(folder, first_line(error)) from error


def _damaged(folder: Path, why: str) -> BadInput:
    return BadInput(f"{folder} is incomplete or damaged ({why.rstrip(' .:')}): get a whole copy.")


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, says so: on the processor torch has no class of its own for it."""
    return error is not None and (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "allocate memory" in str(error)
        or _out_of_memory(error.__context__)
    )


def _asked_for(error: BaseException) -> int:
    """Bytes that torch was to allocate at once, as its message says; 0 where it does not."""
    found = re.search(r"allocate (\d+) bytes", str(error))
    return int(found[1]) if found else 0


def _open_hub(name: str, dtype: torch.dtype) -> PortraitPipeline:
    try:
        index: Any = DiffusionPipeline.load_config(name)
        pipeline_class(index, name)  # before gigabytes are fetched
        folder = fetch_ours(name) or _fetch(name)
    except (OSError, ValueError) as error:
        raise MissingAsset(
            f"There is no folder {name}, and no base of that name with safetensors on the hub, or the hub cannot be "
            f"reached ({first_line(error)})."
        ) from error
    return _open_folder(folder, dtype)


def _fetch(name: str) -> Path:
    """A base of others on the hub; in half precision where it is published in that alone.

    Raises:
        OSError: if it is not there with safetensors, or cannot be reached.
    """
    try:
        return Path(DiffusionPipeline.download(name, use_safetensors=True))
    except OSError as error:
        try:
            return Path(DiffusionPipeline.download(name, use_safetensors=True, variant=HALF))
        except (OSError, ValueError):
            raise error from None


def _open_arc2face(parts: Mapping[str, Path], dtype: torch.dtype) -> PortraitPipeline:
    from transformers import CLIPTextModel

    folder, rest = parts["unet"].parent, require_asset("sd15")
    with _whole(folder):
        # transformers opens the published .bin with weights_only=True
        text_encoder = CLIPTextModel.from_pretrained(parts["text_encoder"], torch_dtype=dtype).eval()
        unet = UNet2DConditionModel.from_pretrained(parts["unet"], torch_dtype=dtype).eval()
    own = {"unet": unet, "text_encoder": text_encoder, "identity_mode": "prompt"}
    with _whole(rest):
        pipeline = PortraitPipeline.from_pretrained(rest, torch_dtype=dtype, **own)
    pipeline.folder = None
    others = {part: rest / part for part in ("vae", "tokenizer", "scheduler")}
    pipeline.parts = others | {part: parts[part] for part in ("unet", "text_encoder")}
    check_parts(pipeline, folder)
    return pipeline


def _open_file(path: Path, dtype: torch.dtype) -> PortraitPipeline:
    checkpoint = read_checkpoint(path)
    kind, asset = _SINGLE_FILES[checkpoint.kind]
    config = find_asset(asset)
    try:
        # without the asset, diffusers fetches the small files of that base from the hub
        extra = {} if config is None else {"config": str(config), "local_files_only": True}
        pipeline = kind.from_single_file(str(path), torch_dtype=dtype, identity_mode="branch", **extra)
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # what diffusers' conversions raise of names that they do not find is anything
        if _out_of_memory(error):
            raise MemoryError from error
        if config is None and isinstance(error, OSError):
            raise MissingAsset(f"{path} comes without a tokenizer: run  mien assets get {asset}  once.") from error
        raise BadInput(f"{path} cannot be read as one base ({first_line(error)}).") from error
    pipeline.register_modules(scheduler=heeded(pipeline.scheduler, checkpoint))
    _heed(pipeline, checkpoint)
    pipeline.parts = {"base": path}  # recorded under this, not its own name, which is often somebody's
    check_parts(pipeline, path)
    return pipeline


def _heed(pipeline: PortraitPipeline, checkpoint: Checkpoint) -> None:
    """Draw pictures of the side that a file was trained at, and read text through the layers it was trained with."""
    if checkpoint.side is not None:
        pipeline.unet.register_to_config(sample_size=checkpoint.side // pipeline.vae_scale_factor)
    if checkpoint.skipped:
        encoder = getattr(pipeline.text_encoder, "text_model", pipeline.text_encoder).encoder  # transformers 4 and 5
        encoder.layers = encoder.layers[: max(len(encoder.layers) - checkpoint.skipped, 1)]
        pipeline.text_encoder.config.num_hidden_layers = len(encoder.layers)


def _manner(index: Mapping[str, Any]) -> dict[str, Any]:
    return {} if is_ours(index) else {"identity_mode": "branch"}
