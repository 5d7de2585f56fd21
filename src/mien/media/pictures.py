"""Opening a user's picture, whatever its format, as plain RGB, or saying in one sentence why not."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mien.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

PictureLike: TypeAlias = "str | Path | Image.Image | NDArray[np.uint8] | NDArray[np.floating[Any]] | Tensor"
"""What a user may give as a picture: see `as_picture`."""

MAX_PIXELS = 100_000_000
"""Largest picture that is decoded (a medium-format photograph); more is refused before any pixel is read."""

MIN_SIDE = 32
"""Shortest side that can show a face."""

# A list, since PIL would also hand files to helper programs (EPS) or read formats that are not photographs.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")


_ORIENTATION = 0x0112
_TELL_ORIENTATION = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
"""Where in a picture's `info` PIL looks for its orientation."""

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
"""Of the files in a folder that are taken for pictures."""


def files_in(folder: Path) -> list[Path]:
    """The picture files directly in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)


def as_picture(picture: PictureLike) -> Image.Image:
    """A picture in any of the usual forms as RGB, 8 bits a channel.

    Args:
        picture: a file; a PIL picture; an array or tensor [H, W, 3] or [3, H, W], with or without a batch axis of one:
            uint8, or floating point in [0, 1] (or, where any value is below 0, in [-1, 1], as in diffusers).

    Raises:
        BadInput: if a file cannot be used (see `open_picture`), or an array has another shape or range.
    """
    from PIL import Image

    if isinstance(picture, str | Path):
        return open_picture(picture)
    if isinstance(picture, Image.Image):
        _check_size("The picture", *picture.size)
        return _to_rgb(_upright(picture))
    return _of_array(picture)


def picture_name(picture: PictureLike) -> str:
    """A picture's name for messages: the path of a file, else "the picture"."""
    return str(picture) if isinstance(picture, str | Path) else "the picture"


def pixel_hash(picture: Image.Image) -> str:
    """sha256 of a picture's width, height and RGB bytes: the same for every lossless file of it."""
    size = "x".join(map(str, picture.size))
    return hashlib.sha256(size.encode() + b":" + picture.convert("RGB").tobytes()).hexdigest()


def _of_array(values: Any) -> Image.Image:
    import numpy as np
    from PIL import Image

    try:
        array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty(0, object)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    shape: tuple[int, ...] = array.shape
    if len(shape) != 3 or 3 not in (shape[0], shape[2]) or array.dtype.kind not in "uf":
        raise BadInput(
            f"A picture is a file, a PIL picture, or an array [H, W, 3] or [3, H, W], not {_described(values, array)}."
        )
    if shape[2] != 3:
        shape, array = shape[1:], array.transpose(1, 2, 0)
    _check_size("The picture", shape[1], shape[0])
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= -1 and high <= 1):  # also where there is a NaN
            raise BadInput(
                f"The values of a floating-point picture lie in [0, 1] or [-1, 1], not in [{low:g}, {high:g}]."
            )
        array = (array.astype(np.float64) + 1) * 127.5 if low < 0 else array.astype(np.float64) * 255
        array = array.round().astype(np.uint8)
    elif array.dtype != np.uint8:
        raise BadInput(f"A picture of whole numbers has 8 bits a channel, not {array.dtype}.")
    return Image.fromarray(np.ascontiguousarray(array))


def _described(values: Any, array: NDArray[Any]) -> str:
    return type(values).__name__ if array.dtype == object else f"{array.dtype} {list(array.shape)}"


def open_picture(path: Path | str) -> Image.Image:
    """Open a picture file as RGB, 8 bits a channel.

    EXIF orientation is applied where it can be read, transparency flattened on white, CMYK, palettes and 16-bit grey
    converted; of an animation the first frame is taken.

    Raises:
        BadInput: if there is no such file, it is not a picture, it is damaged or cut off, or its size is out of range.
    """
    from PIL import Image, UnidentifiedImageError

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
                return _to_rgb(_upright(picture))
    except Image.DecompressionBombError as error:
        raise BadInput(f"{path} declares far too many pixels; make it smaller.") from error
    except UnidentifiedImageError as error:
        raise BadInput(f"{path} is not a picture that can be read; save it as PNG or JPEG.") from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise BadInput(f"{path} is damaged or cut off ({error}); get a whole copy of it.") from error


def _check_size(path: Path | str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 1_000_000
        raise BadInput(f"{path} declares {width} x {height} pixels, more than {limit} million; make it smaller.")
    if min(width, height) < MIN_SIDE:
        raise BadInput(f"{path} has {width} x {height} pixels; use a picture of at least {MIN_SIDE} x {MIN_SIDE}.")


def _upright(picture: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; PIL's own `exif_transpose` writes all EXIF anew, which one malformed tag prevents."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # whatever PIL raises on EXIF that is malformed; the pixels are fine
        return picture
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    for name in _TELL_ORIENTATION:
        turned.info.pop(name, None)  # or the next reader would turn it again
    return turned


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
