"""One try to bring a file over HTTP, going on where an earlier try stopped.

Beside ``X.part`` lies ``X.part.json``: which place the bytes came from, that place's validator (a strong ETag, or the
date of the last change) and the whole length. The rest is asked for with ``Range``; ``If-Range`` makes the server send
everything again if the file has changed since.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from mien import __version__
from mien.assets.checks import Expected
from mien.assets.problems import Unavailable, make_room
from mien.core.io import write_json
from mien.errors import MienError

BLOCK = 1 << 16
TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as dead."""

_PASSING = (408, 425, 429, 500, 502, 503, 504)

Report = Callable[[int, int | None], None]
"""Told the number of bytes that are here, and of all bytes where that is known."""

Response: TypeAlias = "http.client.HTTPResponse | HTTPError"
"""An answer; one of 416 is an error to urllib."""


@dataclass(frozen=True)
class Note:
    """Where the bytes of a ``.part`` file came from."""

    url: str = ""
    validator: str | None = None
    total: int | None = None


def transfer(url: str, part: Path, known: Expected, report: Report) -> None:
    """Bring ``part`` to its whole length.

    Args:
        url: the place.
        part: the file to write or to continue; its folder exists.
        known: what is known of the whole file.
        report: called after each block.

    Raises:
        Unavailable: if the place does not give the file, or stops in the middle; what has come is kept.
        MienError: if another process is at it, or there is no room.
        OSError: if the disk fails.
    """
    with part.open("ab") as stream:
        alone(stream, part)
        note, have = _read_note(part), part.stat().st_size
        # bytes of another place, or of a file that may have changed, go on only if the hash would tell
        if not known.has_hash and (note.url != url or note.validator is None):
            have = 0
        if have and have == note.total:
            return
        condition = note.validator if note.url == url else None
        with _open(url, have, condition) as response:
            start = _start(response, have, note, stream)
            total = _total(response, start, known)
            make_room(part.parent, (total or start) - start)
            stream.truncate(start)
            write_json(_note_path(part), asdict(Note(url, _validator(response) or condition, total)))
            report(start, total)
            for block in _blocks(response):
                start += stream.write(block)
                report(start, total)
    if total is not None and start < total:
        raise Unavailable(f"cut the connection after {start:,} of {total:,} bytes", lasting=False)


def forget(part: Path) -> None:
    """Remove what has come of a file."""
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


def finish(part: Path, target: Path) -> None:
    """Give the whole file its name, in one step."""
    part.replace(target)
    _note_path(part).unlink(missing_ok=True)


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_note(part: Path) -> Note:
    try:
        return Note(**json.loads(_note_path(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Note()  # no note, or half a one: as if nothing were known of the bytes


def alone(stream: IO[bytes], part: Path) -> None:
    """Two processes that write one file would spoil it; where the system has locks, the second one is refused.

    Args:
        stream: ``part``, open for as long as this process works on it.
        part: named after what is fetched, with ``.part`` at the end.

    Raises:
        MienError: if another process is at it.
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise MienError(f"Another process is fetching {part.stem}; wait for it, then try again.") from error


@contextmanager
def _open(url: str, have: int, condition: str | None) -> Iterator[Response]:
    """Send the request; errors of the network come out as `Unavailable`."""
    headers = {"User-Agent": f"mien/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if condition:
            headers["If-Range"] = condition
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416:
            error.close()
            raise Unavailable(f"answers {error.code} {error.reason}", lasting=error.code not in _PASSING) from error
        response = error  # what we have reaches beyond the file: `_start` deals with it
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise Unavailable(f"cannot be reached ({reason}); check the network", lasting=False) from error
    with response:
        if url.startswith("https:") and urlsplit(response.url).scheme != "https":
            raise Unavailable("leads to a place without https", lasting=True)
        if response.status == 200 and response.headers.get_content_type() == "text/html":
            raise Unavailable("sends a web page instead of the file", lasting=True)
        yield response


def _start(response: Response, have: int, note: Note, stream: IO[bytes]) -> int:
    """Where the bytes of the answer begin: at 0 unless the server goes on where we stopped, in a file of that length.

    After an answer that fits neither, what has come is dropped and the next try begins anew.
    """
    if response.status == 200:
        return 0
    part = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status == 206 and part and int(part[1]) == have and part[2] in ("*", str(note.total or part[2])):
        return have
    stream.truncate(0)
    raise Unavailable("did not go on where the last try stopped", lasting=False)


def _total(response: Response, start: int, known: Expected) -> int | None:
    """Whole length of the file, None if the server frames its answer in chunks."""
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    if total is None and response.headers.get("Transfer-Encoding") != "chunked" and not known.has_hash:
        raise Unavailable("does not say how long the file is", lasting=True)
    if None not in (total, known.bytes) and total != known.bytes:
        raise Unavailable(f"has another file, of {total:,} bytes instead of {known.bytes:,}", lasting=True)
    return total


def _validator(response: Response) -> str | None:
    """A strong ETag, else the date of the last change; a weak ETag does not promise equal bytes."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _blocks(response: Response) -> Iterator[bytes]:
    try:
        while block := response.read(BLOCK):
            yield block
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"cut the connection ({type(error).__name__})", lasting=False) from error
