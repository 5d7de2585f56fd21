"""Films with their record: MP4, GIF and WebP."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.io import atomic_path
from mien.core.optional import require
from mien.errors import BadInput
from mien.media.pictures import open_picture
from mien.media.video import ANIMATIONS, is_taken
from mien.provenance.declaration import declaration, declare_in_gif, declare_in_mp4, exif

if TYPE_CHECKING:
    from PIL import Image

    from mien.provenance.record import Record

CLOCKS = {"gif": (10, 50.0), "webp": (1, 90.0)}
"""Animation -> (milliseconds that durations are counted in, most frames a second): browsers show a frame that is to
last 10 ms or less for 100."""
QUALITY = 95
"""Quality of a WebP video: below it the invisible watermark is lost in frame after frame; lossless, the file is five
times as large."""


def write_video(path: Path, files: Sequence[Path], rate: float, record: Record | None) -> None:
    """Write a video atomically, by its ending: ``.mp4``, ``.gif`` or ``.webp``.

    GIF and WebP leave frames out where there are more a second than `CLOCKS` says.

    Args:
        path: where to.
        files: its frames, RGB pictures of one size.
        rate: frames a second.
        record: what it is to carry, with a declaration: in GIF and MP4 as a comment, in WebP as EXIF's description.

    Raises:
        BadInput: for another ending.
        MissingDependency: for ``.mp4`` without ``av``.
    """
    check_video(path)
    form = path.suffix.lower().removeprefix(".")
    write = {"gif": _write_gif, "webp": _write_webp, "mp4": _write_mp4}[form]
    with atomic_path(path) as temporary:
        write(temporary, files, rate, record)


def check_video(path: Path) -> None:
    """Refuse an ending that `write_video` does not write, before any work is done.

    Raises:
        BadInput: naming the endings.
        MissingDependency: for ``.mp4`` without ``av``.
    """
    if path.suffix.lower() not in (".mp4", *ANIMATIONS):
        raise BadInput(f"A video must be called .mp4, .gif or .webp, not {path.name!r}.")
    if path.suffix.lower() == ".mp4":
        require("av", extra="video")


def _write_gif(path: Path, files: Sequence[Path], rate: float, record: Record | None) -> None:
    words = {} if record is None else {"comment": record.text().encode("utf-8")}
    _write_animation(path, "gif", [open_picture(file) for file in files], rate, words)
    if record is not None:
        declare_in_gif(path, declaration(record))


def encode_webp(frames: Sequence[Image.Image], rate: float, record: Record | None) -> bytes:
    """The bytes of the WebP file that `write_video` writes.

    Args:
        frames: RGB pictures of one size.
        rate: see `write_video`.
        record: see `write_video`.
    """
    stream = io.BytesIO()
    _write_animation(stream, "webp", frames, rate, _webp_options(record))
    return stream.getvalue()


def _write_webp(path: Path, files: Sequence[Path], rate: float, record: Record | None) -> None:
    _write_animation(path, "webp", [open_picture(file) for file in files], rate, _webp_options(record))


def _webp_options(record: Record | None) -> dict[str, Any]:
    words = {} if record is None else {"exif": exif(record.text()), "xmp": declaration(record).encode("utf-8")}
    return {"quality": QUALITY, **words}


def _write_animation(
    to: Path | io.BytesIO, form: str, frames: Sequence[Image.Image], rate: float, options: dict[str, Any]
) -> None:
    tick, most = CLOCKS[form]
    shown = [frame for number, frame in enumerate(frames) if is_taken(number, min(1.0, most / rate))]
    # each frame ends at the tick that is nearest to its time, so that what is rounded does not add up
    ends = [round(1000 * number / min(rate, most) / tick) for number in range(len(shown) + 1)]
    durations = [(after - before) * tick for before, after in pairwise(ends)]
    first, *rest = shown
    first.save(to, form.upper(), save_all=True, append_images=rest, duration=durations, loop=0, **options)


def _write_mp4(path: Path, files: Sequence[Path], rate: float, record: Record | None) -> None:
    av = require("av", extra="video")
    with av.open(str(path), "w", format="mp4") as video:
        if record is not None:
            video.metadata["comment"] = record.text()
        stream = None
        for image in map(open_picture, files):
            if stream is None:
                stream = video.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
                stream.width, stream.height = (side - side % 2 for side in image.size)
                stream.pix_fmt, stream.options = "yuv420p", {"crf": "16"}
            for packet in stream.encode(av.VideoFrame.from_image(image)):
                video.mux(packet)
        if stream is not None:
            for packet in stream.encode():
                video.mux(packet)
    if record is not None:
        declare_in_mp4(path, declaration(record))
