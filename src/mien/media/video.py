"""Frames of a video, an animated picture or a folder of pictures; and a video of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, median_low
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.core.optional import require
from mien.errors import BadInput
from mien.media.pictures import files_in

if TYPE_CHECKING:
    from PIL import Image


VIDEOS = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi")
ANIMATIONS = (".gif", ".webp")
RATE = 25.0
"""Frames a second where nothing says."""
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
        rate: frames a second to take; the video's own when None or higher. A folder has none of its own: this is it,
            or `RATE`, and every picture is taken.

    Raises:
        BadInput: if there is nothing that can be read; also while reading, for a damaged file.
        MissingDependency: for a video file without ``av``.
    """
    if path.is_dir():
        files = files_in(path)
        if not files:
            raise BadInput(f"There are no pictures in {path}; give a folder of frames, or a video.")
        own, images = rate or RATE, _pictures(files)
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
        if is_taken(number, share):
            image.thumbnail((LARGEST, LARGEST))
            yield image


def is_taken(number: int, share: float) -> bool:
    """Whether a picture, counted from 0, is in an even share of them."""
    return number == 0 or int(number * share + 1e-9) > int((number - 1) * share + 1e-9)


def _pictures(files: Sequence[Path]) -> Iterator[Image.Image]:
    from mien.media.pictures import open_picture

    for file in files:
        yield open_picture(file)


def _animation(path: Path) -> tuple[float, Iterator[Image.Image]]:
    from PIL import Image

    from mien.media.pictures import open_picture

    open_picture(path)  # refuses what is no picture, too large or damaged, in one sentence

    def images() -> Iterator[Image.Image]:
        with _whole(path), Image.open(path) as animation:
            for number in range(getattr(animation, "n_frames", 1)):
                animation.seek(number)
                yield animation.convert("RGB")

    with _whole(path), Image.open(path) as animation:
        durations = [_duration(animation, number) for number in range(getattr(animation, "n_frames", 1))]
    return 1000 / _usual(durations), images()


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """What Pillow raises beyond the first frame of a file that is cut off, with the file's name."""
    try:
        yield
    except (OSError, EOFError, SyntaxError, ValueError) as error:
        raise BadInput(f"{path} is damaged or cut off ({error}); get a whole copy of it.") from error


def _duration(animation: Image.Image, number: int) -> float:
    """Milliseconds that a frame is shown for; 0 where the file does not say."""
    animation.seek(number)
    animation.load()  # WebP tells the duration with its pixels
    return float(animation.info.get("duration") or 0)


def _usual(durations: Sequence[float]) -> float:
    """Milliseconds of a frame: the mean, without those that stand much longer or shorter than most do."""
    middle = median_low(durations)
    return fmean(one for one in durations if middle / 2 <= one <= 2 * middle) or 1000 / RATE


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


def video_comment(path: Path) -> str:
    """The comment in a video file's metadata; empty where there is none.

    Raises:
        BadInput: if it cannot be read.
        MissingDependency: without ``av``.
    """
    av: Any = require("av", extra="video")
    try:
        with av.open(str(path)) as film:
            return str(film.metadata.get("comment", ""))
    except av.FFmpegError as error:
        raise BadInput(f"{path} is not a video that can be read; save it as MP4.") from error


def first_picture(path: Path) -> Image.Image:
    """A picture, or the first one of a film, as RGB.

    Raises:
        BadInput: if there is none.
        MissingDependency: for a video file without ``av``.
    """
    from mien.media.pictures import open_picture

    if path.suffix.lower() not in VIDEOS:
        return open_picture(path)
    for image in read_frames(path).images:
        return image
    raise BadInput(f"{path} shows no picture; get a whole copy of it.")
