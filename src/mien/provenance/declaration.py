"""The declaration in a file's XMP packet: the IPTC digital source type, which says that a trained model made it."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.provenance.record import Record

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DIGITAL_SOURCE_TYPE = f"{_SOURCE_TYPES}trainedAlgorithmicMedia"
"""IPTC NewsCode for media made by a trained model."""
EDITED_SOURCE_TYPE = f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
"""IPTC NewsCode for a picture of another origin that a trained model has changed in part."""
DESCRIPTION = 0x010E
"""EXIF's ImageDescription, where WebP has its record, in UTF-8."""

# Where XMP stands, by the specification's part 3: in GIF a block that older readers step over because the 258 bytes
# after the packet lead any of them to its end, in MP4 a box of its own.
_GIF_BLOCK = b"!\xff\x0bXMP DataXMP"
_GIF_END = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
_GIF_TRAILER = b";"
_JPEG_START, _JPEG_APP1, _JPEG_XMP = b"\xff\xd8", b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\x00"
_MP4_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def declaration(record: Record) -> str:
    """The XMP packet of what a record tells of."""
    source_type = EDITED_SOURCE_TYPE if "edit" in record.inputs else DIGITAL_SOURCE_TYPE
    return xmp_packet(f"mien {record.mien}", source_type)


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


def source_type_in(packet: str) -> str | None:
    """The source type that an XMP packet declares, if it is one of ours."""
    return next((one for one in (DIGITAL_SOURCE_TYPE, EDITED_SOURCE_TYPE) if one in packet), None)


def packet_in(path: Path) -> str:
    """The first XMP packet in a file of any format, found by its wrapper; empty where there is none."""
    if not path.stat().st_size:
        return ""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(b"<?xpacket begin=")
        end = content.find(b"<?xpacket end=", max(start, 0))
        return content[start:end].decode("utf-8", "replace") if 0 <= start < end else ""


def declare_in_gif(path: Path, packet: str) -> None:
    """Put an XMP packet before the last byte of a finished GIF."""
    with path.open("r+b") as stream:
        stream.seek(-len(_GIF_TRAILER), 2)
        stream.write(_GIF_BLOCK + packet.encode("utf-8") + _GIF_END + _GIF_TRAILER)


def declare_in_mp4(path: Path, packet: str) -> None:
    """Put an XMP packet at the end of a finished MP4."""
    content = _MP4_UUID + packet.encode("utf-8")
    with path.open("ab") as stream:
        stream.write((8 + len(content)).to_bytes(4, "big") + b"uuid" + content)


def declared_jpeg(content: bytes, packet: str) -> bytes:
    """A JPEG file with an XMP packet in a segment of its own behind the first (JFIF's, where other programs want it).

    Args:
        content: of the file, as Pillow writes it: the start, then a JFIF segment.
        packet: below 65,000 bytes, as ours are.
    """
    place = len(_JPEG_START) + 2 + int.from_bytes(content[4:6], "big")
    body = _JPEG_XMP + packet.encode("utf-8")
    return content[:place] + _JPEG_APP1 + (len(body) + 2).to_bytes(2, "big") + body + content[place:]


def exif(text: str) -> Any:
    """EXIF with words as its description."""
    from PIL import Image

    found = Image.Exif()
    found[DESCRIPTION] = text.encode("utf-8")  # of words Pillow keeps ASCII alone
    return found
