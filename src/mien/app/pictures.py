"""Pictures in JSON: base64 in, base64 out, and never a file."""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import TYPE_CHECKING

from mien.app.limits import Limits
from mien.app.problems import FieldProblem
from mien.demo.examples import Examples
from mien.errors import BadInput, MienError
from mien.media.pictures import decoded, open_picture, opened

if TYPE_CHECKING:
    from PIL import Image

STUDIO = "studio:"
"""Before the name of one of the studio's people or templates, in the place of a picture."""
_DATA_URL = re.compile(r"data:[\w.+-]*/?[\w.+-]*;base64,")


def studio_pictures() -> dict[str, Image.Image]:
    """The studio's people and the faces whose expressions can be borrowed, by name, such as ``Ada`` and ``laugh``."""
    examples = Examples.load()
    return {one.name: open_picture(one.path) for one in (*examples.people, *examples.templates)}


def decode_picture(text: str, field: str, limits: Limits, studio: dict[str, Image.Image]) -> Image.Image:
    """A picture of a request.

    Args:
        text: base64 of a picture file, with or without the beginning of a data URL; or ``studio:NAME``.
        field: which it was given for.
        limits: of its size.
        studio: see `studio_pictures`.

    Raises:
        FieldProblem: if it cannot be used.
    """
    if text.startswith(STUDIO):
        name = text.removeprefix(STUDIO)
        if name not in studio:
            raise FieldProblem(field, f"The studio has no picture called {name[:40]!r}: choose {', '.join(studio)}.")
        return studio[name]
    return open_content(decode_base64(text, field), field, limits)


def open_content(content: bytes, field: str, limits: Limits) -> Image.Image:
    """The picture in the bytes of a file; arguments and errors as of `decode_picture`."""
    try:
        with opened(io.BytesIO(content), "The file") as picture:
            width, height = picture.size
            if width * height > limits.picture_pixels:
                most = limits.picture_pixels // 1_000_000
                raise BadInput(f"The picture has {width} x {height} pixels, more than {most} million: make it smaller.")
            return decoded(picture)
    except MienError as error:
        raise FieldProblem(field, str(error)) from error


def decode_base64(text: str, field: str) -> bytes:
    """The file of a picture of a request.

    Raises:
        FieldProblem: if it is none.
    """
    match = _DATA_URL.match(text[:100])
    try:
        content = base64.b64decode(text[match.end() :] if match else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FieldProblem(field, "A picture is sent as base64 of its file, or as studio:NAME.") from error
    if not content:
        raise FieldProblem(field, "The file is empty: send a PNG, JPEG or WebP file.")
    return content


def encode_base64(content: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(content).decode("ascii")


def encode_preview(image: Image.Image) -> str:
    """An intermediate picture as a small JPEG, base64; it carries no record, since it is not the result."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return encode_base64(stream.getvalue())
