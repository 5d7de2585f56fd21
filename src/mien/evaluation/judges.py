"""Judges in a model folder, and what the attribute judge says of a whole picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mien.errors import MissingAsset

if TYPE_CHECKING:
    from torch import Tensor

    from mien.faces.networks import JudgeAttributes
    from mien.faces.types import Picture


Floats = NDArray[np.float64]


def open_network(name: str, folder: Path) -> Any:
    """One of `mien.faces.networks`, in float32 and evaluation mode.

    Raises:
        MissingAsset: if it is not there.
    """
    from mien.faces import networks

    if not (folder / "config.json").is_file():
        raise MissingAsset(f"There is no {name} in {folder}: train it (mien train) and publish it beside the model.")
    return getattr(networks, name).from_pretrained(folder).float().eval()


def judge_in(folder: Path, kind: Literal["attributes", "gaze"]) -> Any | None:
    """A judge that not every model folder has; None where there is none."""
    place = folder / "judges" / kind
    return open_network(f"Judge{kind.title()}", place) if place.is_dir() else None


def picture_features(judge: JudgeAttributes, image: Picture) -> Floats:
    """The attribute judge's features [1, C] of a whole picture, PIL or uint8 [H, W, 3]."""
    import torch

    with torch.no_grad():
        return judge.features(_judged(image)).double().numpy()


def picture_classes(judge: JudgeAttributes, image: Picture) -> dict[str, int]:
    """Number of the likeliest class of each named attribute of a whole picture, PIL or uint8 [H, W, 3]."""
    import torch

    with torch.no_grad():
        seen = judge.predict(_judged(image))
    return {name: int(seen[name][0].argmax()) for name in judge.classes}


def picture_attributes(judge: JudgeAttributes, image: Picture) -> dict[str, str]:
    """The same as words."""
    return {name: judge.classes[name][number] for name, number in picture_classes(judge, image).items()}


def _judged(image: Picture) -> Tensor:
    """What the attribute judge reads, [1, 3, 96, 96]."""
    from PIL import Image

    from mien.core.pixels import picture_to_tensor

    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    return picture_to_tensor(picture.resize((96, 96), 3))  # bicubic, antialiased by PIL
