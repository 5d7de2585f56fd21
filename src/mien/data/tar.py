"""Plain files of a tar archive, read without trust.

The standard library's `tarfile` follows links inside an archive, gives holes their full size, and in some releases
never ends on a negative size. Shards hold plain files alone, so headers are read here and all else is refused.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from tarfile import ReadError, TarInfo
from typing import IO

LARGEST = 64 << 20
"""Bytes of a file in a shard that is read; ours have some ten thousand."""
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(_BLOCK)
"""Two such blocks end every tar file, whoever wrote it."""


def plain_files(stream: IO[bytes]) -> Iterator[tuple[str, bytes, int]]:
    """Name, content and place (byte of the archive) of each plain file, in order; folders are passed over.

    Raises:
        TarError: if the archive is damaged, cut short, or holds anything but folders and plain files.
    """
    name = ""
    while (header := stream.read(_BLOCK)) != _END:
        info = TarInfo.frombuf(header, "utf-8", "surrogateescape")
        if info.type == tarfile.DIRTYPE:
            name = ""
            continue
        if not 0 <= info.size <= LARGEST:
            raise ReadError(f"a file of {info.size} bytes")
        place, content = stream.tell(), stream.read(info.size)
        padding = stream.read(-info.size % _BLOCK)
        if len(content) + len(padding) != -(-info.size // _BLOCK) * _BLOCK:
            raise ReadError("unexpected end of data")
        if info.type == tarfile.GNUTYPE_LONGNAME:
            name = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif info.type == tarfile.XHDTYPE:
            name = _told_name(content) or name
        elif info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield name or info.name, content, place
            name = ""
        elif info.type != tarfile.XGLTYPE:
            raise ReadError("a link or another special file in it")
    if stream.read(_BLOCK) != _END:
        raise ReadError("unexpected end of data")


def _told_name(records: bytes) -> str:
    """The name that an extended header gives to the next file, if any; its records are ``LENGTH KEY=VALUE``."""
    found = ""
    while records.strip(b"\0"):
        digits, _, _ = records.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 9 else 0
        record = records[len(digits) + 1 : length - 1]
        key, equals, value = record.partition(b"=")
        if not 0 < length <= len(records) or not equals:
            raise ReadError("a damaged header")
        if key == b"size" or key.startswith(b"GNU.sparse"):
            raise ReadError("a file with holes, or too large")
        if key == b"path":
            found = value.decode("utf-8", "surrogateescape")
        records = records[length:]
    return found
