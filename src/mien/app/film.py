"""Pictures that were drawn here as one film, in memory."""

from __future__ import annotations

from mien.app.pictures import decode_base64, open_content
from mien.app.problems import FieldProblem
from mien.app.schema import VideoBody
from mien.app.service import PortraitService
from mien.errors import MienError

FRAMES = "frames"
"""The field of the frames."""


def film(body: VideoBody, service: PortraitService) -> bytes:
    """An animated WebP of the frames, as ``mien animate`` writes it.

    It carries the record of its first frame, whose watermark belongs to it, and the declaration.

    Raises:
        FieldProblem: if a frame cannot be used, was not drawn by mien, or has another size than the first.
    """
    from mien.provenance.png import read_record_in
    from mien.provenance.video import encode_webp

    limits, left = service.limits, service.limits.picture_pixels * service.limits.pictures
    pictures, records = [], []
    for number, text in enumerate(body.frames, 1):
        content = decode_base64(text, FRAMES)
        picture = open_content(content, FRAMES, limits)
        if pictures and picture.size != pictures[0].size:
            raise FieldProblem(FRAMES, "The frames have several sizes: send those of one drawing.")
        left -= picture.width * picture.height
        if left < 0:
            raise FieldProblem(FRAMES, "These are more pixels than one film may have: send fewer frames.")
        pictures.append(picture)
        try:
            records.append(read_record_in(content, f"Frame {number}"))
        except MienError as error:
            raise FieldProblem(FRAMES, str(error)) from error
    return encode_webp(pictures, body.rate, records[0])
