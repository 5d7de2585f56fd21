"""Pictures and films."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.cli.show import lines
from mien.core.optional import require
from mien.core.text import printable
from mien.errors import MienError
from mien.media.pictures import open_picture
from mien.media.video import read_frames
from mien.provenance.png import examine
from tests.fuzz.kind import Kind
from tests.fuzz.mutate import mutated

_PICTURES = {"png": {}, "jpg": {}, "webp": {}, "gif": {}, "tif": {}, "bmp": {}, "avif": {}, "jp2": {}}
_FILMS = {
    "mp4": "libx264", "mkv": "ffv1", "webm": "libvpx-vp9", "avi": "mpeg4", "mpg": "mpeg2video", "ts": "mpeg2video",
    "flv": "flv", "wmv": "wmv2", "mov": "qtrle",
}  # fmt: skip
_FRAMES = 40
"""Read of each film."""


def _images(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)) for _ in range(count)]


def picture(rng: np.random.Generator, folder: Path) -> Path:
    ending = list(_PICTURES)[int(rng.integers(0, len(_PICTURES)))]
    stream = io.BytesIO()
    first, *rest = _images(3)
    many = {"save_all": True, "append_images": rest} if ending in ("gif", "webp", "png") and rng.random() < 0.5 else {}
    mode = ("RGB", "RGBA", "L", "P")[int(rng.integers(0, 4))]
    form = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(ending, ending.upper())
    source = first.convert(mode) if form not in ("JPEG", "AVIF", "JPEG2000") else first
    source.save(stream, form, **many)
    path = folder / f"a.{ending}"
    path.write_bytes(mutated(stream.getvalue(), rng))
    return path


def film(rng: np.random.Generator, folder: Path) -> Path:
    av: Any = require("av", extra="video")
    ending = list(_FILMS)[int(rng.integers(0, len(_FILMS)))]
    with tempfile.TemporaryDirectory() as made:
        whole = Path(made) / f"a.{ending}"
        with av.open(str(whole), "w") as opened:
            stream = opened.add_stream(_FILMS[ending], rate=25)
            stream.width, stream.height = 64, 48
            stream.pix_fmt = {"qtrle": "argb", "ffv1": "bgr0"}.get(_FILMS[ending], "yuv420p")
            for image in _images(8):
                opened.mux(stream.encode(av.VideoFrame.from_image(image)))
            opened.mux(stream.encode())
        path = folder / f"a.{ending}"
        path.write_bytes(mutated(whole.read_bytes(), rng))
    return path


def look(path: Path) -> None:
    """Everything that is done with a picture or film from elsewhere."""
    refusals: list[MienError] = []
    for read in (open_picture, _frames, _shown):
        try:
            read(path)
        except MienError as error:
            refusals.append(error)
    if len(refusals) == 3:
        raise refusals[0]


def _frames(path: Path) -> None:
    for number, image in enumerate(read_frames(path).images):
        assert image.mode == "RGB" and max(image.size) <= 1024
        if number >= _FRAMES:
            break


def _shown(path: Path) -> None:
    for line in lines(examine(path)):
        assert printable(line).isprintable() or "\u200c" in line or "\u200d" in line


KINDS = {"pictures": Kind(picture, look), "films": Kind(film, look)}
