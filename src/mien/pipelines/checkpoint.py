"""What a base in one file states of itself: in the names and shapes of its weights, and in its header.

The community marks checkpoints by keys without weights of their own: ``v_pred`` for velocity prediction, ``ztsnr`` for
a schedule that ends in pure noise, ``edm_mean`` and ``edm_vpred.sigma_max`` for EDM's; headers follow Stability's model
specification (``modelspec.prediction_type``, ``timestep_range``, ``resolution``, ``encoder_layer``). A loader that does
not look draws grey noise.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mien.core.weights import check_suffix, is_safetensors, read_metadata, read_shapes
from mien.errors import BadInput

if TYPE_CHECKING:
    from mien.diffusion.prediction import Prediction
    from mien.diffusion.schedulers import Scheduler

_UNET, _VAE = "model.diffusion_model.", "first_stage_"
_INPUT = f"{_UNET}input_blocks.0.0.weight"
_EDM = ("edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")
_TEXT = {
    "v1": ("cond_stage_model.",),
    "xl_base": ("conditioner.embedders.0.", "conditioner.embedders.1."),
}
"""Beginnings of the names of the text encoders' weights, by diffusers' name of the kind."""
_OTHERS = {
    "v2": "a Stable Diffusion 2",
    "xl_refiner": "SDXL's refiner, which draws on with what SDXL began",
    "playground-v2-5": "Playground 2.5, which is trained on EDM's noise",
    "upscale": "an upscaler",
}
_PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "epsilon", "eps": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction",
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        kind: diffusers' name of it: ``v1`` or ``xl_base``.
        prediction: what its UNet predicts.
        zero_snr: whether its noise schedule ends in pure noise (Lin et al. 2024, arXiv 2305.08891).
        side: of the square pictures that it was trained on, in pixels; None where it does not say, or names another
            shape (one of many on which such bases are trained).
        skipped: last layers of its text encoder that it was trained without, 0 where it does not say ("clip skip"
            counts from 1).
    """

    kind: str
    prediction: Prediction
    zero_snr: bool
    side: int | None
    skipped: int


def read_checkpoint(path: Path) -> Checkpoint:
    """What a file says of itself; no weights are loaded.

    Raises:
        BadInput: if it is no whole Stable Diffusion 1.5 or SDXL base that mien can draw with.
        ConfigError: if it is damaged.
    """
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type

    if not is_safetensors(path):
        raise BadInput(f"{path} is not a .safetensors file: mien opens no pickles; convert it, or get it in that form.")
    check_suffix(path)
    shapes = read_shapes(path)
    if not all(any(key.startswith(start) for key in shapes) for start in (_UNET, _VAE)):
        raise BadInput(f"{path} holds no whole Stable Diffusion 1.5 or SDXL base; choose another file.")
    channels = shapes.get(_INPUT, ())[1:2]
    if channels not in ((), (4,)):
        raise BadInput(
            f"The UNet of {path} reads {channels[0]} channels: it was made for inpainting or editing; use the "
            "plain base."
        )
    if any(key in shapes for key in _EDM):
        raise BadInput(f"{path} was trained on EDM's noise, which mien does not draw with; choose another file.")
    if f"{_UNET}time_embed.cond_proj.weight" in shapes:
        raise BadInput(f"{path} is distilled with its guidance inside, where mien cannot steer it; use an LCM LoRA.")
    # diffusers looks at shapes alone; what it does not know it calls v1
    stated: Any = {key: SimpleNamespace(shape=shape) for key, shape in shapes.items()}
    kind = infer_diffusers_model_type(stated)
    if kind not in _TEXT:
        raise BadInput(f"{path} is {_OTHERS.get(kind, f'a {kind}')}, and no Stable Diffusion 1.5 or SDXL base.")
    if not all(any(key.startswith(start) for key in shapes) for start in _TEXT[kind]):
        raise BadInput(f"{path} comes without its text encoder: get the whole checkpoint.")
    metadata = read_metadata(path)
    if (part := _part_of_schedule(metadata)) is not None:
        raise BadInput(f"{path} is made for the timesteps {part}, a part of the schedule; choose a whole base.")
    prediction = _prediction(path, metadata, "v_pred" in shapes)
    return Checkpoint(kind, prediction, "ztsnr" in shapes, _side(path, metadata), _skipped(path, metadata, kind))


def _side(path: Path, metadata: dict[str, str]) -> int | None:
    """From ``1024x1024`` or ``1024``."""
    stated = metadata.get("modelspec.resolution", "").strip().lower()
    if not stated:
        return None
    sides = [int(side) for side in stated.split("x") if side.strip().isdecimal()]
    if len(sides) != stated.count("x") + 1 or len(sides) > 2 or not all(64 <= side <= 8192 for side in sides):
        raise BadInput(f"{path} says that it draws pictures of {stated!r}, which is no size; choose another file.")
    return sides[0] if len({*sides}) == 1 else None


def _skipped(path: Path, metadata: dict[str, str], kind: str) -> int:
    """SDXL reads the last layer but one in any case; Stable Diffusion 1.5 the last, unless told otherwise."""
    usual = {"v1": "1", "xl_base": "2"}[kind]
    stated = metadata.get("modelspec.encoder_layer", usual).strip()
    if stated == usual:
        return 0
    if kind == "v1" and stated.isdecimal() and 1 <= int(stated) <= 12:
        return int(stated) - 1
    raise BadInput(
        f"{path} reads layer {stated!r} from the end of its text encoder, which mien cannot; choose another file."
    )


def _part_of_schedule(metadata: dict[str, str]) -> str | None:
    """The timesteps that a UNet is an expert of, as its header states them; None where it knows the whole schedule."""
    stated = metadata.get("modelspec.timestep_range", "")
    numbers = [word.strip() for word in stated.strip("[]() ").split(",")]
    return None if not stated.strip() or numbers in (["0", "999"], ["0", "1000"]) else stated.strip()


def _prediction(path: Path, metadata: dict[str, str], marked: bool) -> Prediction:
    if marked:
        return "v_prediction"
    prediction = metadata.get("modelspec.prediction_type", "epsilon").strip().lower()
    if prediction not in _PREDICTIONS:
        raise BadInput(
            f"{path} says that its UNet predicts {prediction!r}, which mien does not know; choose another file."
        )
    return _PREDICTIONS[prediction]


def heeded(scheduler: Scheduler, checkpoint: Checkpoint) -> Scheduler:
    """A base's scheduler as a checkpoint wants it: itself where it wants nothing else.

    Args:
        scheduler: that of the published base of that shape.
        checkpoint: what the file says.
    """
    from diffusers import DDIMScheduler

    if checkpoint.prediction == scheduler.config["prediction_type"] and not checkpoint.zero_snr:
        return scheduler
    changes: dict[str, Any] = {"prediction_type": checkpoint.prediction}
    kind = type(scheduler)
    if checkpoint.zero_snr:
        # such a schedule has to begin at its last timestep, and PNDM knows none
        changes |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        kind = kind if "rescale_betas_zero_snr" in inspect.signature(kind).parameters else DDIMScheduler
    found = kind.from_config(scheduler.config, **changes)
    assert not isinstance(found, tuple)  # as diffusers declares it
    return found
