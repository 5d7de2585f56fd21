"""Judges in a model folder, and what the attribute judge says of a whole picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

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


def judge_in(kind: type[Network], folder: Path) -> Network | None:
    """A judge that not every model folder has; None where there is none."""
    return open_network(kind, folder) if folder.is_dir() else None


def picture_features(judge: JudgeAttributes, image: Picture) -> Floats:
    """The attribute judge's features [1, C] of a whole picture, PIL or uint8 [H, W, 3]."""
    return picture_judged(judge, image)[0]


def picture_judged(judge: JudgeAttributes, image: Picture) -> tuple[Floats, dict[str, int]]:
    """The same, and the number of the likeliest class of each named attribute."""
    seen = judge.predict(_judged(image))
    classes = {name: int(seen[name][0].argmax()) for name in judge.classes}
    return seen["features"].double().numpy(), classes


def picture_attributes(judge: JudgeAttributes, image: Picture) -> dict[str, str]:
    """The likeliest class of each named attribute, as words."""
    return {name: judge.classes[name][number] for name, number in picture_judged(judge, image)[1].items()}


def _judged(image: Picture) -> Tensor:
    """What the attribute judge reads, [1, 3, 96, 96]."""
    from PIL import Image

    from mien.core.pixels import picture_to_tensor

    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    return picture_to_tensor(picture.resize((96, 96), 3))  # bicubic, antialiased by PIL
