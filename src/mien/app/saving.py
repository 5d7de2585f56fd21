"""A picture that was drawn here as a file of another format, in memory."""

from __future__ import annotations

from mien.app.limits import Limits
from mien.app.pictures import decode_base64, open_content
from mien.app.problems import FieldProblem
from mien.app.schema import MediaType, SaveBody
from mien.errors import MienError
from mien.provenance.png import PictureFormat, encode_again

MEDIA_TYPES: dict[MediaType, PictureFormat] = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
"""Media type -> the format of a picture with its record."""


PICTURE = "picture"
"""The field of the picture."""


def saved(body: SaveBody, limits: Limits) -> bytes:
    """The file of a picture in the format that was asked for, with record, declaration and watermark.

    Raises:
        FieldProblem: if it was not drawn by mien, or its record does not fit into the format.
    """
    content = decode_base64(body.picture, PICTURE)
    open_content(content, PICTURE, limits)
    try:
        return encode_again(content, MEDIA_TYPES[body.format], "The picture")
    except MienError as error:
        raise FieldProblem(PICTURE, str(error)) from error


def wanted_type(accept: str) -> MediaType | None:
    """The media type of the one picture that an ``Accept`` header asks for; None if it asks for no picture."""
    return next((name for name in MEDIA_TYPES if name in accept), None)
