"""Judges in a model folder, and what the attribute judge says of a whole picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien.core.modules import placed
from mien.errors import MissingAsset

if TYPE_CHECKING:
    from diffusers.models.modeling_utils import ModelMixin
    from torch import Tensor

    from mien.faces.networks import JudgeAttributes
    from mien.faces.types import Picture


Floats = NDArray[np.float64]
Network = TypeVar("Network", bound="ModelMixin")


def open_network(kind: type[Network], folder: Path) -> Network:
    """One of `mien.faces.networks`, in float32 and evaluation mode.

    Raises:
        MissingAsset: if it is not there.
    """
    if not (folder / "config.json").is_file():
        raise MissingAsset(
            f"There is no {kind.__name__} in {folder}: train it (mien train) and publish it beside the model."
        )
    return kind.from_pretrained(folder).float().eval()


def open_judge(kind: type[Network], folder: Path) -> Network:
    """The same, on a GPU where there is one.

    Raises:
        MissingAsset: if it is not there.
    """
    import torch

    return placed(open_network(kind, folder), device="cuda" if torch.cuda.is_available() else "cpu")


def judge_in(kind: type[Network], folder: Path) -> Network | None:
    """A judge that not every model folder has; None where there is none."""
    return open_judge(kind, folder) if folder.is_dir() else None


def beside(network: object, values: Tensor) -> Tensor:
    """Values on the device of a network, or where they are if it has none."""
    return values.to(getattr(network, "device", values.device))


def picture_features(judge: JudgeAttributes, images: Sequence[Picture]) -> Floats:
    """The attribute judge's features [B, C] of B whole pictures, PIL or uint8 [H, W, 3]."""
    return picture_judged(judge, images)[0]


def picture_judged(judge: JudgeAttributes, images: Sequence[Picture]) -> tuple[Floats, dict[str, NDArray[np.int64]]]:
    """The same, and the numbers [B] of the likeliest class of each named attribute."""
    seen = judge.predict(beside(judge, _judged(images)))
    classes = {name: seen[name].argmax(1).cpu().numpy() for name in judge.classes}
    return seen["features"].double().cpu().numpy(), classes


def picture_attributes(judge: JudgeAttributes, image: Picture) -> dict[str, str]:
    """The likeliest class of each named attribute, as words."""
    found = picture_judged(judge, [image])[1]
    return {name: judge.classes[name][int(numbers[0])] for name, numbers in found.items()}


def _judged(images: Sequence[Picture]) -> Tensor:
    """What the attribute judge reads, [B, 3, 96, 96]."""
    from PIL import Image

    from mien.core.pixels import pictures_to_tensor

    pictures = (Image.fromarray(one) if isinstance(one, np.ndarray) else one for one in images)
    return pictures_to_tensor([one.resize((96, 96), 3) for one in pictures])  # bicubic, antialiased by PIL
