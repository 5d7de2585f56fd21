"""Opening a user's picture, whatever its format, as plain RGB, or saying in one sentence why not."""

from __future__ import annotations

import hashlib
import importlib
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from mien.errors import BadInput, MienError, MissingDependency

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

PictureLike: TypeAlias = "str | Path | Image.Image | NDArray[np.uint8] | NDArray[np.floating] | Tensor"
"""What a user may give as a picture: see `as_picture`."""

MAX_PIXELS = 100_000_000
"""Largest picture that is decoded (a medium-format photograph); more is refused before any pixel is read."""

MIN_SIDE = 32
"""Shortest side that can show a face."""

# A list, since PIL would also hand files to helper programs (EPS) or read formats that are not photographs.
_ADDRESS = re.compile(r"https?:/", re.IGNORECASE)
"""What a web address begins with; a path has lost the second slash."""
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")


_HEVC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_ORIENTATION = 0x0112
_TELL_ORIENTATION = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
"""Where in a picture's `info` PIL looks for its orientation."""

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
"""Of the files in a folder that are taken for pictures."""

_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_ROWS = 512
"""Rows of deep pictures that are converted at once, which bounds the memory."""


def files_in(folder: Path) -> list[Path]:
    """The picture files directly in a folder, in natural order: ``frame2`` comes before ``frame10``.

    Hidden files are left out; macOS leaves ``._NAME.png`` beside ``NAME.png``, which is no picture.
    """
    found = (path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith("."))
    return sorted(found, key=natural_key)


def files_below(folder: Path, endings: Sequence[str] = ENDINGS) -> list[Path]:
    """Files in a folder and the folders in it, in natural order of folders and names; hidden ones are left out.

    Args:
        folder: where to look.
        endings: of the names, in lower case.
    """
    found = [
        path for path in folder.rglob("*")
        if path.suffix.lower() in endings and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]  # fmt: skip
    return sorted(found, key=lambda path: [natural_key(Path(part)) for part in path.relative_to(folder).parts])


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts files by name, with numbers in the names by their value; the two forms of an accented letter are equal."""
    parts = re.findall(r"[0-9]+|[^0-9]+", unicodedata.normalize("NFC", path.stem))
    # digits are compared as numbers without int(), which refuses thousands of them
    keys = [(0, len(part.lstrip("0")), part.lstrip("0")) if part[0] in "0123456789" else (1, 0, part) for part in parts]
    return keys, path.name


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
        _check_size("The picture", *picture.size, MIN_SIDE)
        return to_rgb(upright(picture))
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
    _check_size("The picture", shape[1], shape[0], MIN_SIDE)
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


def _described(values: object, array: NDArray[Any]) -> str:
    if isinstance(values, bytes | bytearray | memoryview):
        return "bytes: open them with  Image.open(io.BytesIO(...))"
    if array.dtype == object or not array.ndim:
        return f"{type(values).__name__} {values!r}" if isinstance(values, int | float) else type(values).__name__
    return f"{array.dtype} {list(array.shape)}"


def open_picture(source: Path | str | IO[bytes], name: str | None = None, *, smallest: int = MIN_SIDE) -> Image.Image:
    """Open a picture file as RGB, 8 bits a channel.

    EXIF orientation is applied where it can be read, transparency flattened on white, CMYK, palettes and 16-bit grey
    converted; of an animation the first frame is taken. For arguments and errors see `opened`.
    """
    with opened(source, name, smallest=smallest) as picture:
        return decoded(picture)


def decoded(picture: Image.Image) -> Image.Image:
    """The pixels of a picture that `opened` gives, as `open_picture` tells."""
    picture.seek(0)
    picture.load()
    return to_rgb(upright(picture))


def open_with_transparency(source: Path | str | Image.Image) -> Image.Image | None:
    """A picture with the colours and the transparency that it is stored with, RGBA and upright; None if it has none.

    Raises:
        BadInput: see `opened`.
    """
    if isinstance(source, str | Path):
        with opened(source) as picture:
            picture.seek(0)
            picture.load()
            return _with_transparency(picture)
    return _with_transparency(source)


def _with_transparency(picture: Image.Image) -> Image.Image | None:
    if picture.mode not in _WITH_ALPHA and "transparency" not in picture.info:
        return None
    picture = upright(picture.convert("RGBA"))
    return picture if picture.getchannel("A").getextrema()[0] != 255 else None


@contextmanager
def opened(
    source: Path | str | IO[bytes], name: str | None = None, *, smallest: int = MIN_SIDE
) -> Iterator[Image.Image]:
    """A picture file of one of `FORMATS`, before its pixels are read; every picture that mien reads is opened here.

    Args:
        source: a file's path, or its content.
        name: of the picture in messages; the path if None.
        smallest: shortest side in pixels that is taken.

    Yields:
        Pillow's picture. Whatever Pillow raises on a damaged file inside the block becomes one sentence.

    Raises:
        BadInput: if there is no such file, it is not a picture, it is damaged or cut off, or its size is out of range.
    """
    from PIL import Image, UnidentifiedImageError

    name = str(source if name is None else name)
    if isinstance(source, str | Path):
        check_file(source, name)
    Image.init()
    formats = [one for one in FORMATS if one in Image.OPEN]
    if _is_heic(source):
        formats = [_register_heic(name)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on sizes (our own limit follows) and on what else is odd
            picture = Image.open(source, formats=formats)
        with picture:
            _check_size(name, *picture.size, smallest)
            yield picture
    except MienError:
        raise
    except Image.DecompressionBombError as error:
        raise BadInput(f"{name} declares far too many pixels; make it smaller.") from error
    except UnidentifiedImageError as error:
        raise BadInput(f"{name} is not a picture that can be read; save it as PNG or JPEG.") from error
    except Exception as error:  # decoders of damaged files raise IndexError, RuntimeError, struct.error and others
        raise BadInput(f"{name} is damaged or cut off ({error}); get a whole copy of it.") from error


def check_pictures(paths: Iterable[Path]) -> None:
    """Refuse picture files of which the first bytes tell already that they cannot be used.

    Their headers alone are read, which takes a millisecond: a mistyped path is answered before torch is imported. The
    pixels are decoded once, when they are wanted.

    Raises:
        MienError: see `opened`.
    """
    for path in paths:
        with opened(path):
            pass


def check_file(path: str | Path, name: str | None = None) -> None:
    """Refuse a path at which there is no file.

    Args:
        path: of a picture.
        name: of the picture in messages; the path if None.

    Raises:
        BadInput: if there is nothing, a folder, or what may not be read.
    """
    if _ADDRESS.match(name or str(path)):
        raise BadInput(f"{name or path} is an address: pictures are not fetched, so save it as a file first.")
    path = Path(path)
    try:
        if path.is_dir():
            inside = next(iter(files_in(path)), None)
            example = "" if inside is None else f", such as {inside}"
            raise BadInput(f"{name or path} is a folder: give a picture file{example}.")
        if not path.is_file():
            raise BadInput(f"There is no picture file at {name or path}; check the path.")
        with path.open("rb"):
            pass
    except OSError as error:  # a name that is too long, no permission
        raise BadInput(f"Cannot read {name or path}: {error.strerror}; check the path.") from error


def _is_heic(source: Path | str | IO[bytes]) -> bool:
    """Whether a file begins as iPhones' pictures do: a box ``ftyp`` with one of HEVC's brands (ISO/IEC 23008-12)."""
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            start = file.read(64)
    else:
        start = source.read(64)
        source.seek(0)
    return start[4:8] == b"ftyp" and any(start[i : i + 4] in _HEVC for i in range(8, len(start), 4))


def _register_heic(name: str) -> str:
    """Pillow's name of the format, once it can read it.

    Raises:
        MissingDependency: if pillow-heif is not installed.
    """
    try:
        heif = importlib.import_module("pillow_heif")
    except ImportError as error:
        raise MissingDependency(
            f"{name} is a HEIC picture: run  pip install pillow-heif  and try again, or save it as JPEG."
        ) from error
    heif.register_heif_opener()
    return "HEIF"


def _check_size(name: str, width: int, height: int, smallest: int) -> None:
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 1_000_000
        raise BadInput(f"{name} declares {width} x {height} pixels, more than {limit} million; make it smaller.")
    if min(width, height) < smallest:
        raise BadInput(f"{name} has {width} x {height} pixels; use a picture of at least {smallest} x {smallest}.")


def upright(picture: Image.Image) -> Image.Image:
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


def to_rgb(picture: Image.Image) -> Image.Image:
    """A picture of any mode as RGB, 8 bits a channel, with transparency flattened on white."""
    from PIL import Image

    if picture.mode.startswith(("I", "F")):
        picture = _to_grey8(picture)
    if picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def _to_grey8(picture: Image.Image) -> Image.Image:
    """16-bit, 32-bit and floating point grey to 8 bits; PIL's own conversion would clip at 255."""
    import numpy as np
    from PIL import Image

    values = np.asarray(picture)
    full = _white_level(values, picture.mode)
    grey = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _ROWS):
        rows = np.nan_to_num(values[top : top + _ROWS].astype(np.float64))
        grey[top : top + _ROWS] = np.clip(rows * (255.0 / full) + 0.5, 0, 255)
    return Image.fromarray(grey)


def _white_level(values: NDArray[np.generic], mode: str) -> float:
    """The value that is white: files of these modes do not say."""
    import numpy as np

    most = float(np.nanmax(values, initial=0))
    if mode == "F":
        return 1.0 if most <= 1.0 else 255.0
    return 255.0 if most <= 255.0 and not mode.startswith("I;16") else 65535.0
