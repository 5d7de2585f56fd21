"""One person, one seed, one control changed step by step: a row of pictures, or a grid of emotions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.conditions import EMOTIONS, SYNONYMS
from mien.core.io import check_apart, check_writable, make_folder
from mien.errors import BadInput, MienError
from mien.generation.request import GenerateRequest, check_folder

if TYPE_CHECKING:
    from PIL import Image

    from mien.generation.tools import FaceTools
    from mien.pipelines.portrait import PortraitPipeline

ANGLES = ("yaw", "pitch", "roll")
GAP, LABEL, PAPER, INK = 6, 22, (250, 248, 244), (33, 30, 27)


@dataclass(frozen=True)
class Stop:
    """One picture of a sweep.

    Attributes:
        caption: what is written under it.
        changes: fields of the request that differ.
    """

    caption: str
    changes: dict[str, Any]


def ends(text: str) -> tuple[str, str]:
    """The two ends of ``A..B``.

    Raises:
        BadInput: for anything else.
    """
    first, dots, last = text.partition("..")
    if not dots or not first or not last:
        raise BadInput(f"Write a sweep as FROM..TO, such as -40..40 or happy..angry, not {text!r}.")
    return first, last


def between(text: str, count: int) -> list[float]:
    """``count`` numbers from the first to the last of ``A..B``."""
    try:
        first, last = (float(end) for end in ends(text))
    except ValueError as error:
        raise BadInput(f"Write a sweep of numbers as FROM..TO, such as -40..40, not {text!r}.") from error
    return [first + (last - first) * index / max(1, count - 1) for index in range(count)]


def angle_stops(name: str, text: str, count: int) -> list[Stop]:
    """A head turned from one angle to another, in degrees."""
    return [Stop(f"{value:+.0f}°", {name: value}) for value in between(text, count)]


def strength_stops(text: str, count: int) -> list[Stop]:
    """The expression of a picture, weaker and stronger."""
    return [Stop(f"x {value:.2f}", {"expression_strength": value}) for value in between(text, count)]


def blendshape_stops(text: str, count: int) -> list[Stop]:
    """One blendshape, ``NAME=A..B``."""
    name, _, span = text.partition("=")
    return [Stop(f"{value:.2f}", {"blendshapes": {name: value}}) for value in between(span, count)]


def emotion_stops(text: str, count: int) -> list[Stop]:
    """From one emotion to another, straight across the circumplex: shares of the two classes change evenly.

    Raises:
        BadInput: for a word that is no emotion.
    """
    words = [SYNONYMS.get(end.strip().lower(), end.strip().lower()) for end in ends(text)]
    unknown = [word for word in words if word not in EMOTIONS]
    if unknown:
        raise BadInput(f"There is no emotion called {unknown[0]!r}; choose from {', '.join(EMOTIONS)}.")
    first, last = words
    stops = []
    for share in between("0..1", count):
        named = {first: 1 - share, last: share} if first != last else {first: 1.0}
        parts = ",".join(f"{name}:{value:.4f}" for name, value in named.items() if value > 0)
        stops.append(Stop(parts.replace(".0000", "") if share in (0, 1) else f"{share:.2f}", {"emotion": parts}))
    return stops


def grid_stops(side: int) -> list[Stop]:
    """The valence-arousal plane in ``side`` x ``side`` places inside the unit circle's square: arousal falls by row."""
    steps = [-0.8 + 1.6 * index / max(1, side - 1) for index in range(side)]
    return [
        Stop(f"V {valence:+.1f} A {arousal:+.1f}", {"emotion": f"at:{valence:.3f}/{arousal:.3f}"})
        for arousal in reversed(steps)
        for valence in steps
    ]


def sweep(
    request: GenerateRequest,
    stops: Sequence[Stop],
    columns: int | None = None,
    *,
    pipeline: PortraitPipeline | None = None,
    tools: FaceTools | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> list[Path]:
    """Draw every stop with the request's seed; a picture that is in the folder and has the same record is kept.

    Args:
        request: what stays the same; ``output`` is the folder.
        stops: what changes.
        columns: pictures in a row of ``sweep.png``; all when None.
        pipeline: see `mien.generation.generate.generate`.
        tools: see `mien.generation.generate.generate`.
        progress: called with the number of pictures done.

    Returns:
        ``sweep.png``, then ``01.png``, ``02.png`` and so on.

    Raises:
        BadInput: if ``output`` is the name of a file.
        MienError: see `mien.generation.generate.generate`.
    """
    check_folder(request.output)  # before torch is imported
    from mien.generation.generate import draw_pictures
    from mien.generation.records import hashes
    from mien.generation.tools import FaceTools
    from mien.media.pictures import open_picture
    from mien.pipelines.load import load_pipeline
    from mien.provenance.png import read_record, write_picture

    row = request.output / "sweep.png"
    places = [request.output / f"{number:02d}.png" for number in range(1, len(stops) + 1)]
    check_apart([row, *places], request.input_files)
    check_writable([row, *places])
    requests = [GenerateRequest.checked(**{**request.model_dump(exclude={"count"}), **stop.changes}) for stop in stops]
    tools = tools or FaceTools.load(request.base, request.reader)
    drawn_by = load_pipeline(request.base, request.loading) if pipeline is None else pipeline
    requests = [
        one.model_copy(update={"prompt": drawn_by.readable_prompt(one.prompt, bool(one.identity or one.edit))})
        if one.prompt  # as its record will say it
        else one
        for one in requests
    ]
    make_folder(request.output)
    models = hashes(drawn_by, tools)
    for place, one in zip(places, requests, strict=True):
        if not _is_this(place, one, models, tools.reader_name):
            (picture,) = draw_pictures(one, pipeline=drawn_by, tools=tools)
            write_picture(place, picture.image, picture.record)
        progress(1)
    record = read_record(places[0]) if request.provenance else None
    images = [open_picture(place) for place in places]
    write_picture(row, mount(images, [stop.caption for stop in stops], columns or len(images)), record)
    return [row, *places]


def _is_this(file: Path, request: GenerateRequest, models: dict[str, str], reader: str) -> bool:
    """Whether a file's record says that it is the picture of a request; one without a record says nothing."""
    from mien import __version__
    from mien.provenance.png import read_record

    if not request.provenance or not file.is_file():
        return False
    try:
        record = read_record(file)
    except MienError:
        return False
    return (record.mien, record.settings, record.inputs, record.models) == (
        __version__, request.settings() | {"reader": reader}, request.input_hashes(), models
    )  # fmt: skip


def mount(images: Sequence[Image.Image], captions: Sequence[str], columns: int) -> Image.Image:
    """Pictures of one size in rows, each with its caption below."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = images[0].size
    rows = -(-len(images) // columns)
    canvas = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + LABEL + GAP) + GAP), PAPER)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left = GAP + index % columns * (width + GAP)
        top = GAP + index // columns * (height + LABEL + GAP)
        canvas.paste(image, (left, top))
        pen.text((left + width / 2, top + height + LABEL / 2), caption, INK, font, anchor="mm")
    return canvas
