"""Pictures with their record: PNG text chunks, XMP, and the invisible mark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import BadInput
from mien.io import atomic_path
from mien.provenance.record import Record

if TYPE_CHECKING:
    from PIL import Image

    from mien.provenance.mark import Mark

CHUNK = "mien"
"""Keyword of the iTXt chunk with the record's JSON."""
XMP_CHUNK = "XML:com.adobe.xmp"
"""Keyword that the XMP specification (part 3) gives PNG."""
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DIGITAL_SOURCE_TYPE = f"{_SOURCE_TYPES}trainedAlgorithmicMedia"
"""IPTC NewsCode for media made by a trained model."""
EDITED_SOURCE_TYPE = f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
"""IPTC NewsCode for a picture of another origin that a trained model has changed in part."""


@dataclass(frozen=True)
class Found:
    """What a file says about its origin.

    Attributes:
        record: the record, or None if the file has none.
        digital_source_type: the IPTC term in its XMP packet, or None.
        mark: the invisible mark, or None.
    """

    record: Record | None
    digital_source_type: str | None
    mark: Mark | None

    @property
    def mark_fits(self) -> bool | None:
        """Whether the mark belongs to the record; None if one of them is missing."""
        if self.record is None or self.mark is None:
            return None
        return self.mark.id == self.record.mark_id


def xmp_packet(creator: str, source_type: str = DIGITAL_SOURCE_TYPE) -> str:
    """An XMP packet that declares where a picture comes from; ``creator`` is the tool, e.g. "mien 0.1.0"."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' xmp:CreatorTool="{creator}" Iptc4xmpExt:DigitalSourceType="{source_type}"/>'
        "</rdf:RDF></x:xmpmeta>"
        '<?xpacket end="r"?>'
    )


def write_picture(path: Path | str, image: Image.Image, record: Record | None) -> None:
    """Write a PNG file atomically, with its record, XMP packet and mark; with none of them if ``record`` is None."""
    content = encode_picture(image, record)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def encode_picture(image: Image.Image, record: Record | None) -> bytes:
    """The bytes that `write_picture` writes; no time is among them, so the same picture and record give the same."""
    from io import BytesIO

    from PIL.PngImagePlugin import PngInfo

    from mien.provenance.mark import SMALLEST_SIDE, embed_mark

    text = None
    if record is not None:
        text = PngInfo()
        text.add_itxt(CHUNK, record.text())
        source_type = EDITED_SOURCE_TYPE if "edit" in record.inputs else DIGITAL_SOURCE_TYPE
        text.add_itxt(XMP_CHUNK, xmp_packet(f"mien {record.mien}", source_type))
        if min(image.size) >= SMALLEST_SIDE:
            image = embed_mark(image, record.mark_id)
    stream = BytesIO()
    image.save(stream, "PNG", pnginfo=text)
    return stream.getvalue()


def examine(path: Path | str) -> Found:
    """Everything a file says about its origin; any picture format that Pillow reads.

    Raises:
        BadInput: if the file is not a picture, or its record is damaged.
    """
    from mien.faces.pictures import open_picture
    from mien.provenance.mark import detect_mark

    path = Path(path)
    image = open_picture(path)
    texts = _texts(path)
    record = Record.parse(texts[CHUNK], str(path)) if CHUNK in texts else None
    declared = texts.get(XMP_CHUNK, "")
    source_type = next((one for one in (DIGITAL_SOURCE_TYPE, EDITED_SOURCE_TYPE) if one in declared), None)
    return Found(record, source_type, detect_mark(image))


def read_record(path: Path | str) -> Record:
    """The record in a PNG file.

    Raises:
        BadInput: if the file is not a picture or carries no record.
    """
    texts = _texts(Path(path))
    if CHUNK not in texts:
        raise BadInput(
            f"{path} carries no record of mien: it was made elsewhere, with --no-provenance, or lost its metadata."
        )
    return Record.parse(texts[CHUNK], str(path))


def _texts(path: Path) -> dict[str, str]:
    """Text chunks of a PNG file; empty for other formats."""
    from PIL import Image as Pictures
    from PIL import UnidentifiedImageError

    try:
        with Pictures.open(path) as image:
            image.load()  # chunks may stand after the pixels
            return {key: str(value) for key, value in getattr(image, "text", {}).items()}
    except UnidentifiedImageError as error:
        raise BadInput(f"{path} is not a picture that can be read; give a PNG file.") from error
    except (OSError, SyntaxError, ValueError, Pictures.DecompressionBombError) as error:
        raise BadInput(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error
