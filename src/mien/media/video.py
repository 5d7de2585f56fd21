"""Frames of a video, an animated picture or a folder of pictures, as a player shows them.

What a container says about showing its frames is heeded: turned and mirrored pictures, pixels that are not square,
transparency (flattened on white, as in pictures), how long each frame stands, and cuts (FFmpeg's demuxers apply those).
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from statistics import fmean, median_low
from typing import TYPE_CHECKING, NamedTuple

from mien.core.optional import require
from mien.errors import BadInput, MienError
from mien.media.pictures import MAX_PIXELS, files_in, open_picture, opened, to_rgb, upright

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from PIL import Image

log = logging.getLogger(__name__)

VIDEOS = (
    ".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".wmv", ".asf", ".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".mts",
    ".m2ts", ".3gp", ".3g2", ".flv", ".f4v", ".ogv",
)  # fmt: skip
ANIMATIONS = (".gif", ".webp")
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,mpeg,mpegts,mpegvideo,h264,hevc,flv,live_flv,ogg"
"""FFmpeg's readers that are used: others follow addresses in what they read (playlists) or are not videos."""
RATE = 25.0
"""Frames a second where nothing says."""
FASTEST = 1000.0
"""Frames a second that a video may declare."""
LARGEST = 1024
"""Longest side in pixels at which frames are kept: a face is read as well from that, and a video fits into memory."""
LONGEST_STILL = 10.0
"""Seconds for which one frame is taken to stand; a damaged clock would have it stand for days."""
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Codecs whose transparency FFmpeg's own decoder leaves out -> the decoder that reads it."""


class Frames(NamedTuple):
    """What a driving video shows.

    Attributes:
        images: RGB pictures in order.
        rate: frames a second.
    """

    images: Iterator[Image.Image]
    rate: float


class Shown(NamedTuple):
    """A frame and the second at which it appears."""

    time: float
    image: Image.Image


def read_frames(path: Path, rate: float | None = None) -> Frames:
    """Open a driving video.

    Args:
        path: video file, animated GIF or WebP, or a folder of pictures in natural order of their names.
        rate: frames a second to take; the video's own mean when None or higher. A folder has none of its own: this is
            it, or `RATE`, and every picture is taken. Frames that stand for different times are taken by their times.

    Raises:
        BadInput: if there is nothing that can be read; also while reading, for a damaged file.
        MissingDependency: for a video file without ``av``.
    """
    if path.is_dir():
        files = files_in(path)
        if not files:
            raise BadInput(f"There are no pictures in {path}; give a folder of frames, or a video.")
        return Frames(map(_smaller, map(open_picture, files)), rate or RATE)
    if not path.is_file():
        raise BadInput(f"There is no video or folder at {path}; check the path.")
    own, shown = _video(path) if path.suffix.lower() in VIDEOS else _animation(path)
    wanted = own if rate is None else min(rate, own)
    return Frames(_at_rate(shown, own, wanted, path), wanted)


def frames_at(path: Path, every: float) -> Iterator[Shown]:
    """The frames that a video file shows at 0, ``every``, 2 x ``every`` ... seconds after its first one.

    What lies between is passed over where the file can be entered there: a long video is not decoded as a whole.
    Frames are taken as players show them, and at their own size: a face is cut out of them that training wants as large
    as it can be had. No frame is taken to stand for longer than ``every`` or, if that is more, `LONGEST_STILL`.

    Args:
        path: video file.
        every: seconds, above 0.

    Raises:
        BadInput: if it cannot be read; also while reading, for a damaged file.
        MissingDependency: without ``av``.
    """
    with _opened_video(path) as video:
        stream = video.streams.video[0]
        _check_frame(path, stream.codec_context.width, stream.codec_context.height)
        pixel = stream.sample_aspect_ratio or Fraction(1)
        half = 0.5 / float(stream.average_rate or stream.guessed_rate or RATE)
        walk = _Walk(video, stream, max(LONGEST_STILL, every))
        tick = 0
        while (frame := walk.frame_at(tick * every, half)) is not None:
            _check_frame(path, frame.width, frame.height)
            yield Shown(tick * every, _as_shown(frame, pixel))
            tick += 1


class _Walk:
    """Frames of a video by their time, forwards only; jumps are made for as long as they help.

    Args:
        video: that was opened.
        stream: its frames.
        still: most seconds from one frame to the next; where the file says more, all later times are moved.
    """

    def __init__(self, video: InputContainer, stream: VideoStream, still: float) -> None:
        self.video, self.stream, self.still, self.jumps = video, stream, still, True
        self.here: VideoFrame | None = None
        self.following: VideoFrame | None = None
        self.start = 0.0
        self._enter()
        self.first = self.start = 0.0 if self.here is None else float(self.here.time or 0.0)
        self._keep_short()

    def frame_at(self, time: float, half: float) -> VideoFrame | None:
        """The frame that is seen ``time`` seconds after the first, ``half`` a frame of tolerance; None at the end."""
        if self.here is None:
            return None
        if self.jumps and self.following is not None and self._time(self.following) < time - 1:
            self._jump(time)
        while self.following is not None and self._time(self.following) <= time + half:
            self.here, self.following = self.following, next(self.frames, None)
            self._keep_short()
        is_over = self.following is None and self._time(self.here) + 2 * half < time + 1e-6
        return None if is_over else self.here

    def _jump(self, time: float) -> None:
        """Go on from the last key frame before a time; where that lies behind, jumps are given up."""
        before = self.here
        self.video.seek(int((time + self.start) / (self.stream.time_base or 1)), stream=self.stream)
        self._enter()
        if before is None or self.here is None or not self._time(before) < self._time(self.here) <= time:
            # a seek that went back, or past the place: from the beginning, and without further ones
            self.jumps, self.start = False, self.first
            self.video.seek(0, stream=self.stream)
            self._enter()
        self._keep_short()

    def _enter(self) -> None:
        """Decode from where the file stands."""
        self.frames = _decoded(self.video)
        self.here, self.following = next(self.frames, None), next(self.frames, None)

    def _keep_short(self) -> None:
        """Move the clock where the frame after this one is said to come much later."""
        if self.here is not None and self.following is not None:
            self.start += max(self._time(self.following) - self._time(self.here) - self.still, 0.0)

    def _time(self, frame: VideoFrame) -> float:
        return float(frame.time or 0.0) - self.start


def _at_rate(shown: Iterator[Shown], own: float, wanted: float, path: Path) -> Iterator[Image.Image]:
    """The frame that is seen at each tick of a clock; half a frame of tolerance for times that were rounded."""
    ticks, clock, before = 0, 0.0, 0.0
    last: Image.Image | None = None
    cut = False
    for time, image in shown:
        if last is None:
            before = time  # the video begins with its first frame
        stands = max(time - before, 0.0)
        cut |= stands > LONGEST_STILL
        clock, before = clock + min(stands, LONGEST_STILL), max(time, before)
        while last is not None and ticks / wanted + 0.5 / own < clock:
            yield last.copy()
            ticks += 1
        last = _smaller(image)
    clock += 1 / own
    while last is not None and ticks / wanted + 0.5 / own < clock:
        yield last.copy()
        ticks += 1
    if cut:
        log.warning("a frame of %s stands for more than %g seconds; it is shown for that long", path, LONGEST_STILL)


def _smaller(image: Image.Image) -> Image.Image:
    """The picture, no larger than `LARGEST`."""
    image.thumbnail((LARGEST, LARGEST))
    return image


def is_taken(number: int, share: float) -> bool:
    """Whether a picture, counted from 0, is in an even share of them."""
    return number == 0 or int(number * share + 1e-9) > int((number - 1) * share + 1e-9)


def _animation(path: Path) -> tuple[float, Iterator[Shown]]:
    open_picture(path)  # refuses what is no picture, too large or damaged, in one sentence
    with opened(path) as animation:
        durations = [_duration(animation, number) for number in range(getattr(animation, "n_frames", 1))]
    usual = _usual(durations)

    def shown() -> Iterator[Shown]:
        time = 0.0
        with opened(path) as animation:
            for number, duration in enumerate(durations):
                animation.seek(number)
                animation.load()
                yield Shown(time, to_rgb(upright(animation)))
                time += (duration or usual) / 1000

    return min(1000 / usual, FASTEST), shown()


def _duration(animation: Image.Image, number: int) -> float:
    """Milliseconds that a frame is shown for; 0 where the file does not say."""
    animation.seek(number)
    animation.load()  # WebP tells the duration with its pixels
    duration = float(animation.info.get("duration") or 0)
    return duration if 0 < duration < math.inf else 0.0


def _usual(durations: Sequence[float]) -> float:
    """Milliseconds of a frame: the mean, without those that stand much longer or shorter than most do."""
    middle = median_low(durations)
    return fmean(one for one in durations if middle / 2 <= one <= 2 * middle) or 1000 / RATE


@contextmanager
def _opened_video(path: Path) -> Iterator[InputContainer]:
    """A video file, with whatever PyAV raises on it as one sentence."""
    av = require("av", extra="video")
    # neither a playlist nor a name with a colon may lead FFmpeg to another file or address
    options = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
    try:
        with av.open(f"file:{path}", container_options=options) as video:
            if not video.streams.video:
                raise BadInput(f"{path} holds no video; give another file.")
            yield video
    except MienError:
        raise
    except av.InvalidDataError as error:
        raise BadInput(f"{path} is not a video that can be read; save it as MP4.") from error
    except Exception as error:  # on damaged files PyAV also raises ValueError, IndexError, MemoryError and others
        raise BadInput(f"{path} is damaged or cut off ({error}); get a whole copy of it.") from error


def _video(path: Path) -> tuple[float, Iterator[Shown]]:
    with _opened_video(path) as video:
        stream = video.streams.video[0]
        _check_frame(path, stream.codec_context.width, stream.codec_context.height)
        rate = float(stream.average_rate or stream.guessed_rate or RATE)
        rate = min(rate, FASTEST) if rate > 0 else RATE

    def shown() -> Iterator[Shown]:
        time = 0.0
        with _opened_video(path) as video:
            pixel = video.streams.video[0].sample_aspect_ratio or Fraction(1)
            for frame in _decoded(video):
                _check_frame(path, frame.width, frame.height)
                time = time + 1 / rate if frame.time is None else float(frame.time)
                yield Shown(time, _as_shown(frame, pixel))

    return rate, shown()


def _check_frame(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadInput(f"{path} declares frames of {width} x {height} pixels; make them smaller.")


def _decoded(video: InputContainer) -> Iterator[VideoFrame]:
    """The frames of a video, with their transparency."""
    stream = video.streams.video[0]
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        yield from video.decode(stream)
        return
    av = require("av", extra="video")
    decoder = av.CodecContext.create(name, "r")
    for packet in video.demux(stream):
        yield from decoder.decode(packet)


def _as_shown(frame: VideoFrame, pixel: Fraction) -> Image.Image:
    """A frame as a player shows it.

    Args:
        frame: PyAV's.
        pixel: width of a pixel by its height.
    """
    from PIL import Image

    has_alpha = any(component.is_alpha for component in frame.format.components)
    image = to_rgb(Image.fromarray(frame.to_ndarray(format="rgba" if has_alpha else "rgb24")))
    if pixel != 1 and 0.1 < pixel < 10:  # beyond that the file is damaged
        # never larger than stored: the longer of the two sides is kept
        wide, high = image.width * min(pixel, 1), image.height / max(pixel, Fraction(1))
        image = image.resize((max(round(wide), 1), max(round(high), 1)), Image.Resampling.LANCZOS)
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return image if matrix is None else _turned(image, bytes(matrix))


def _turned(image: Image.Image, matrix: bytes) -> Image.Image:
    """A picture under FFmpeg's display matrix: 9 int32, of which (a, b) is where x goes and (c, d) where y goes."""
    from PIL import ImageOps

    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    if a * d - b * c < 0:
        image, a, b = ImageOps.mirror(image), -a, -b  # what remains is a turn
    angle = -math.degrees(math.atan2(b, a))
    return image.rotate(angle, expand=True, fillcolor="white") if round(angle) else image


def video_comment(path: Path) -> str:
    """The comment in a video file's metadata; empty where there is none.

    Raises:
        BadInput: if it cannot be read.
        MissingDependency: without ``av``.
    """
    with _opened_video(path) as video:
        return str(video.metadata.get("comment", ""))


def first_picture(path: Path) -> Image.Image:
    """A picture, or the first one of a video, as RGB.

    Raises:
        BadInput: if there is none.
        MissingDependency: for a video file without ``av``.
    """
    if path.suffix.lower() not in VIDEOS:
        return open_picture(path)
    for image in read_frames(path).images:
        return image
    raise BadInput(f"{path} shows no picture; get a whole copy of it.")
