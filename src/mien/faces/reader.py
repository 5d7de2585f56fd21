"""The protocol all face readers follow, and the choice of one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mien.errors import MissingAsset, MissingDependency
from mien.faces.types import Reading

if TYPE_CHECKING:
    from PIL import Image

Picture: TypeAlias = "Image.Image | NDArray[np.uint8]"

log = logging.getLogger(__name__)


@runtime_checkable
class FaceReader(Protocol):
    """Reads faces from pictures."""

    name: str

    def read(self, image: Picture, source: str = "the picture") -> Reading:
        """Read one RGB picture (PIL, or uint8 [H, W, 3]); ``source`` names it in messages."""
        ...

    def read_batch(self, images: Iterable[Picture]) -> list[Reading]:
        """Read several pictures; the answer has their order and number."""
        ...


def rgb_array(image: Any) -> NDArray[np.uint8]:
    """A PIL picture or array as contiguous uint8 [H, W, 3].

    Raises:
        ValueError: if an array is not uint8 [H, W, 3].
    """
    array = np.asarray(image.convert("RGB")) if hasattr(image, "convert") else np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"expected uint8 [H, W, 3], got {array.dtype} {list(array.shape)}")
    return np.ascontiguousarray(array)


def default_reader() -> FaceReader:
    """MediaPipe when its package and model file are there, else the studio's own reader."""
    from mien.faces.mediapipe import MediaPipeReader

    try:
        return MediaPipeReader()
    except (MissingAsset, MissingDependency) as error:
        log.info("reading faces with the studio's own network: %s", error)
    from mien.faces.studio import StudioReader

    return StudioReader.from_pretrained()
