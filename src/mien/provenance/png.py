"""Pictures with their record, XMP and the invisible watermark, in PNG, JPEG and WebP; and what videos carry of them.

The record stands in a text chunk of PNG, in JPEG's comment, and in the description of WebP's EXIF.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

from mien.core.io import atomic_path
from mien.errors import BadInput
from mien.provenance.declaration import DESCRIPTION, declaration, declared_jpeg, exif, packet_in, source_type_in
from mien.provenance.record import Record

if TYPE_CHECKING:
    from PIL import Image

    from mien.provenance.watermark import Watermark

CHUNK = "mien"
"""Keyword of the iTXt chunk with the record's JSON."""
XMP_CHUNK = "XML:com.adobe.xmp"
"""Keyword that the XMP specification (part 3) gives PNG."""
PictureFormat = Literal["PNG", "JPEG", "WEBP"]
FORMATS: Mapping[str, PictureFormat] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""Ending -> format of the pictures that carry a record."""
QUALITY = 95
"""Of JPEG and WebP, as of videos: the watermark stays readable in what is saved once more."""
LONGEST_COMMENT = 65_533
"""Bytes of a JPEG segment without its length."""


@dataclass(frozen=True)
class Found:
    """What a file says about its origin.

    Attributes:
        record: the record, or None if the file has none.
        digital_source_type: the IPTC term in its XMP packet, or None.
        mark: the invisible watermark, or None; of a video that of its first picture.
        video: whether there are several pictures.
    """

    record: Record | None
    digital_source_type: str | None
    mark: Watermark | None
    video: bool

    @property
    def watermark_fits(self) -> bool | None:
        """Whether the mark is that of the record; None if one of them is missing.

        True says that the two belong together, and nothing of the picture: anyone can put a record and its mark into
        any picture. False says that the record was changed, or stems from another picture.
        """
        if self.record is None or self.mark is None:
            return None
        return self.mark.id == self.record.watermark_id


def write_picture(path: Path | str, image: Image.Image, record: Record | None) -> None:
    """Write a picture atomically, with its record, XMP packet and mark; with none of them if ``record`` is None.

    Args:
        path: ends with one of `FORMATS`.
        image: RGB; in PNG and WebP also with transparency.
        record: what the file says of itself.

    Raises:
        BadInput: for another ending, or a record that is too long for a JPEG file's comment.

    Example:
        >>> from PIL import Image
        >>> from mien.provenance import Record, write_picture
        >>> record = Record(mien="0.1.0", settings={"seed": 3}, index=0, inputs={}, models={}, environment={})
        >>> write_picture("portrait.webp", Image.open("me.jpg"), record)
        >>> Image.open("portrait.webp").size
        (256, 256)
    """
    content = encode_picture(image, record, picture_format(path))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def picture_format(path: Path | str) -> PictureFormat:
    """The format that a file's ending stands for.

    Raises:
        BadInput: if it is none that carries a record.
    """
    found = FORMATS.get(Path(path).suffix.lower())
    if found is None:
        raise BadInput(f"{path} must end with .png, .jpg or .webp: these carry the record.")
    return found


def encode_picture(image: Image.Image, record: Record | None, form: PictureFormat = "PNG") -> bytes:
    """The bytes that `write_picture` writes; no time is among them, so the same picture and record give the same.

    JPEG holds no transparency: on a picture that has some it becomes white, with a warning.
    """
    from mien.media.pictures import to_rgb
    from mien.provenance.watermark import SMALLEST_SIDE, embed_watermark

    if form == "JPEG":
        if "A" in image.getbands() and image.getchannel("A").histogram()[255] < image.width * image.height:
            warnings.warn("JPEG holds no transparency, which becomes white: write a .png or .webp file", stacklevel=2)
        image = to_rgb(image)
    if record is not None and min(image.size) >= SMALLEST_SIDE:
        marked = embed_watermark(image, record.watermark_id)
        if "A" in image.getbands():
            marked.putalpha(image.getchannel("A"))
        image = marked
    return _encoded(image, record, form)


def encode_again(content: bytes, form: PictureFormat, name: str) -> bytes:
    """A picture that carries a record in another format: the same bytes as if it had been written in that at once.

    Args:
        content: bytes of a PNG file of `write_picture`, whose pixels have the mark already.
        form: the other format.
        name: what messages call it.

    Raises:
        BadInput: if it is no PNG file, carries no record, or has one that is too long for a JPEG file's comment.
    """
    from mien.media.pictures import opened, to_rgb

    record = read_record_in(content, name)
    with opened(BytesIO(content), name, smallest=1) as image:
        if image.format != "PNG":
            raise BadInput(f"{name} is a {image.format} file: send the PNG file, which has lost nothing yet.")
        image.load()
        return _encoded(to_rgb(image) if form == "JPEG" else image, record, form)


def _encoded(image: Image.Image, record: Record | None, form: PictureFormat) -> bytes:
    """The bytes of a picture as it is, with what its file says of it."""
    stream = BytesIO()
    if form == "JPEG":
        image.save(stream, form, quality=QUALITY, subsampling=0, **_jpeg_words(record))
        return stream.getvalue() if record is None else declared_jpeg(stream.getvalue(), declaration(record))
    if form == "WEBP":
        words = {} if record is None else {"exif": exif(record.text()), "xmp": declaration(record).encode("utf-8")}
        image.save(stream, form, quality=QUALITY, method=6, **words)
        return stream.getvalue()
    image.save(stream, form, pnginfo=_png_words(record))
    return stream.getvalue()


def _png_words(record: Record | None) -> Any:
    from PIL.PngImagePlugin import PngInfo

    if record is None:
        return None
    text = PngInfo()
    text.add_itxt(CHUNK, record.text())
    text.add_itxt(XMP_CHUNK, declaration(record))
    return text


def _jpeg_words(record: Record | None) -> dict[str, bytes]:
    if record is None:
        return {}
    comment = record.text().encode("utf-8")
    if len(comment) > LONGEST_COMMENT:
        raise BadInput("The record is too long for a JPEG file (its prompt, mostly): write a .png or .webp file.")
    return {"comment": comment}


def examine(path: Path | str) -> Found:
    """Everything a file says about its origin: any picture format that Pillow reads, and videos.

    Raises:
        BadInput: if the file is neither a picture nor a video, or its record is damaged.
        MissingDependency: for a video file without ``av``.
    """
    from mien.media.video import first_picture
    from mien.provenance.watermark import detect_watermark

    path = Path(path)
    image = first_picture(path)
    found = _metadata_of(path)
    record = Record.parse(found.record, str(path)) if found.record else None
    return Found(record, source_type_in(found.packet), detect_watermark(image), found.video)


def read_record(path: Path | str) -> Record:
    """The record of a picture or video.

    Raises:
        BadInput: if the file is neither, or carries no record.
        MissingDependency: for a video file without ``av``.

    Example:
        >>> from PIL import Image
        >>> from mien.provenance import Record, read_record, write_picture
        >>> record = Record(mien="0.1.0", settings={"seed": 3}, index=0, inputs={}, models={}, environment={})
        >>> write_picture("portrait.png", Image.open("me.jpg"), record)
        >>> read_record("portrait.png") == record
        True
    """
    return _record_of(_metadata_of(Path(path)), str(path))


def read_record_in(content: bytes, name: str) -> Record:
    """The record of a picture that lies in memory.

    Args:
        content: bytes of its file.
        name: what messages call it.

    Raises:
        BadInput: if it is no picture, or carries no record.
    """
    return _record_of(_picture_metadata(BytesIO(content), name), name)


def _record_of(found: _FileMetadata, name: str) -> Record:
    if not found.record:
        raise BadInput(
            f"{name} carries no record of mien: it was made elsewhere, with --no-provenance, or lost its metadata."
        )
    return Record.parse(found.record, name)


class _FileMetadata(NamedTuple):
    """What a file's metadata say.

    Attributes:
        record: the text of the record, or nothing.
        packet: the XMP packet, or nothing.
        video: whether there are several pictures.
    """

    record: str
    packet: str
    video: bool


def _metadata_of(path: Path) -> _FileMetadata:
    from mien.media.video import VIDEOS, video_comment

    if path.suffix.lower() in VIDEOS:
        return _FileMetadata(_record_in(video_comment(path)), packet_in(path), True)
    found = _picture_metadata(path, str(path))
    return found if found.packet else found._replace(packet=packet_in(path))


def _picture_metadata(source: Path | IO[bytes], name: str) -> _FileMetadata:
    """What a picture's chunks and words say; of an XMP packet, what stands in a PNG's chunk."""
    from mien.media.pictures import opened

    with opened(source, name, smallest=1) as image:
        image.load()  # chunks may stand after the pixels
        texts = {key: str(value) for key, value in getattr(image, "text", {}).items()}
        record = texts.get(CHUNK) or next(filter(None, map(_record_in, _words(image))), "")
        return _FileMetadata(record, texts.get(XMP_CHUNK, ""), getattr(image, "is_animated", False))


def _words(image: Image.Image) -> Iterator[str]:
    """What formats without PNG's chunks say in words: GIF in a comment, WebP in EXIF."""
    comment = image.info.get("comment", b"")
    yield comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)
    if image.format == "WEBP":
        with suppress(Exception):  # whatever Pillow raises on EXIF that is malformed; it is no record then
            # Pillow reads bytes as Latin-1
            yield str(image.getexif().get(DESCRIPTION, "")).encode("latin-1", "replace").decode("utf-8", "replace")


def _record_in(words: str) -> str:
    """The words if they are a record, whole or damaged, and not what other programs write there."""
    return words if words.startswith("{") and '"mien"' in words else ""
