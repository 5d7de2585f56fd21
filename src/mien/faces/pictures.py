"""Opening a user's picture, whatever its format, as plain RGB, or saying in one sentence why not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import BadInput

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
"""Largest picture that is decoded (a medium-format photograph); more is refused before any pixel is read."""

MIN_SIDE = 32
"""Shortest side that can show a face."""

# A list, since PIL would also hand files to helper programs (EPS) or read formats that are not photographs.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")


ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
"""Of the files in a folder that are taken for pictures."""


def files_in(folder: Path) -> list[Path]:
    """The picture files directly in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)


def open_picture(path: Path | str) -> Image.Image:
    """Open a picture file as RGB, 8 bits a channel.

    EXIF orientation is applied, transparency flattened on white, CMYK, palettes and 16-bit grey converted; of an
    animation the first frame is taken.

    Raises:
        BadInput: if there is no such file, it is not a picture, it is damaged or cut off, or its size is out of range.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = Path(path)
    if not path.is_file():
        raise BadInput(f"There is no picture file at {path}; check the path.")
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            with Image.open(path, formats=formats) as picture:
                _check_size(path, *picture.size)
                picture.seek(0)
                picture.load()
                return _to_rgb(ImageOps.exif_transpose(picture))
    except Image.DecompressionBombError as error:
        raise BadInput(f"{path} declares far too many pixels; make it smaller.") from error
    except UnidentifiedImageError as error:
        raise BadInput(f"{path} is not a picture that can be read; save it as PNG or JPEG.") from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise BadInput(f"{path} is damaged or cut off ({error}); get a whole copy of it.") from error


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 1_000_000
        raise BadInput(f"{path} declares {width} x {height} pixels, more than {limit} million; make it smaller.")
    if min(width, height) < MIN_SIDE:
        raise BadInput(f"{path} has {width} x {height} pixels; use a picture of at least {MIN_SIDE} x {MIN_SIDE}.")


def _to_rgb(picture: Image.Image) -> Image.Image:
    from PIL import Image

    if picture.mode.startswith(("I", "F")):
        picture = _to_grey8(picture)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def _to_grey8(picture: Image.Image) -> Image.Image:
    """16-bit, 32-bit and floating point grey to 8 bits; PIL's own conversion would clip at 255."""
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(picture).astype(np.float64))
    if picture.mode == "F":
        full = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0
    else:
        full = 255.0 if values.max(initial=0.0) <= 255.0 and not picture.mode.startswith("I;16") else 65535.0
    return Image.fromarray(np.clip(values * (255.0 / full) + 0.5, 0, 255).astype(np.uint8))
