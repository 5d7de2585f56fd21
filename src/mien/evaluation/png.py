"""PNG files that pixels go through unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.core.io import atomic_path
from mien.media.pictures import open_picture

if TYPE_CHECKING:
    from mien.faces.types import Picture


Pixels = NDArray[np.uint8]


def write_png(path: Path, pixels: Picture) -> None:
    """Write a picture, PIL or uint8 [H, W, 3], atomically: a file of this name is always whole."""
    with atomic_path(path) as temporary:
        Image.fromarray(np.asarray(pixels)).save(temporary, "PNG", compress_level=1)


def read_png(path: Path) -> Pixels:
    """Pixels [H, W, 3] of a picture."""
    return np.asarray(open_picture(path, smallest=1))
