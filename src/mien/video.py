"""Frames of a video, an animated picture or a folder of pictures; and a video of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.errors import BadInput
from mien.faces.pictures import files_in
from mien.io import atomic_path
from mien.optional import require

if TYPE_CHECKING:
    from PIL import Image

VIDEOS = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi")
ANIMATIONS = (".gif", ".webp")
RATE = 25.0
"""Frames a second of a folder of pictures."""
LARGEST = 1024
"""Longest side in pixels at which frames are kept: a face is read as well from that, and a film fits into memory."""


class Frames(NamedTuple):
    """What a driving video shows.

    Attributes:
        images: RGB pictures in order.
        rate: frames a second.
    """

    images: Iterator[Image.Image]
    rate: float


def read_frames(path: Path, rate: float | None = None) -> Frames:
    """Open a driving video.

    Args:
        path: video file, animated GIF or WebP, or a folder of pictures, taken by name.
        rate: frames a second to take; the video's own when None or higher.

    Raises:
        BadInput: if there is nothing that can be read; also while reading, for a damaged file.
        MissingDependency: for a video file without ``av``.
    """
    if path.is_dir():
        files = files_in(path)
        if not files:
            raise BadInput(f"There are no pictures in {path}; give a folder of frames, or a video.")
        own, images = RATE, _pictures(files)
    elif not path.is_file():
        raise BadInput(f"There is no video or folder at {path}; check the path.")
    elif path.suffix.lower() in VIDEOS:
        own, images = _video(path)
    else:
        own, images = _animation(path)
    wanted = own if rate is None else min(rate, own)
    return Frames(_thinned(images, wanted / own), wanted)


def _thinned(images: Iterator[Image.Image], share: float) -> Iterator[Image.Image]:
    """An even share of the pictures, none larger than `LARGEST`."""
    for number, image in enumerate(images):
        if number == 0 or int(number * share + 1e-9) > int((number - 1) * share + 1e-9):
            image.thumbnail((LARGEST, LARGEST))
            yield image


def _pictures(files: Sequence[Path]) -> Iterator[Image.Image]:
    from mien.faces.pictures import open_picture

    for file in files:
        yield open_picture(file)


def _animation(path: Path) -> tuple[float, Iterator[Image.Image]]:
    from PIL import Image

    from mien.faces.pictures import open_picture

    open_picture(path)  # refuses what is no picture, too large or damaged, in one sentence

    def images() -> Iterator[Image.Image]:
        with Image.open(path) as animation:
            for number in range(getattr(animation, "n_frames", 1)):
                animation.seek(number)
                yield animation.convert("RGB")

    with Image.open(path) as first:
        first.load()  # WebP tells the duration with its pixels
        milliseconds = first.info.get("duration") or 1000 / RATE
    return 1000 / milliseconds, images()


def _video(path: Path) -> tuple[float, Iterator[Image.Image]]:
    av: Any = require("av", extra="video")
    try:
        with av.open(str(path)) as film:
            rate = float(film.streams.video[0].average_rate or RATE)
    except (av.FFmpegError, IndexError) as error:
        raise BadInput(f"{path} is not a video that can be read; save it as MP4.") from error

    def images() -> Iterator[Image.Image]:
        try:
            with av.open(str(path)) as film:
                for frame in film.decode(video=0):
                    yield frame.to_image()
        except av.FFmpegError as error:
            raise BadInput(f"{path} is damaged or cut off; get a whole copy of it.") from error

    return rate, images()


def write_film(path: Path, files: Sequence[Path], rate: float, comment: str) -> None:
    """Write a film atomically, by its ending: ``.mp4``, ``.gif`` or ``.webp``.

    Args:
        path: where to.
        files: its frames, RGB pictures of one size.
        rate: frames a second.
        comment: written into its metadata.

    Raises:
        BadInput: for another ending.
        MissingDependency: for ``.mp4`` without ``av``.
    """
    check_film(path)
    if path.suffix.lower() in ANIMATIONS:
        _write_animation(path, files, rate, comment)
        return
    av: Any = require("av", extra="video")
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as film:
        film.metadata["comment"] = comment
        stream = None
        for image in _pictures(files):
            if stream is None:
                stream = film.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
                stream.width, stream.height = (side - side % 2 for side in image.size)
                stream.pix_fmt, stream.options = "yuv420p", {"crf": "16"}
            for packet in stream.encode(av.VideoFrame.from_image(image)):
                film.mux(packet)
        if stream is not None:
            for packet in stream.encode():
                film.mux(packet)


def check_film(path: Path) -> None:
    """Refuse an ending that `write_film` does not write, before any work is done.

    Raises:
        BadInput: naming the endings.
        MissingDependency: for ``.mp4`` without ``av``.
    """
    if path.suffix.lower() not in (".mp4", *ANIMATIONS):
        raise BadInput(f"A film must be called .mp4, .gif or .webp, not {path.name!r}.")
    if path.suffix.lower() == ".mp4":
        require("av", extra="video")


def _write_animation(path: Path, files: Sequence[Path], rate: float, comment: str) -> None:
    first, *rest = list(_pictures(files))
    form = path.suffix.lower().removeprefix(".")
    # GIF says its comment in words; WebP in an EXIF field, ImageDescription
    words: dict[str, Any] = {"comment": comment.encode()} if form == "gif" else {"exif": _exif(comment)}
    with atomic_path(path) as temporary:
        first.save(
            temporary, form.upper(), save_all=True, append_images=rest, duration=round(1000 / rate), loop=0, **words
        )


def _exif(text: str) -> Any:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010E] = text
    return exif
