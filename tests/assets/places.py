"""A place that files are fetched from: an HTTP server in a thread, as faulty as a test wants it."""

from __future__ import annotations

import hashlib
import http.server
import random
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


def some_bytes(count: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(count)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@dataclass
class Served:
    """One file at a place.

    Attributes:
        etag: validator; None sends none.
        cuts: for each answer in turn, how many bytes of its body are sent before the connection is cut.
        statuses: for each answer in turn, an error to send instead; 0 sends the file.
        ranges: whether ``Range`` is understood.
        length: what ``Content-Length`` claims of the whole file, if not the truth; 0 leaves it out.
        chunked: frame the body in chunks.
        skip: how many bytes after the wanted one a 206 answer begins.
        pause: an event that is waited for after the first 100,000 bytes of an answer.
    """

    body: bytes
    etag: str | None = '"one"'
    modified: str | None = None
    kind: str = "application/octet-stream"
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    length: int | None = None
    chunked: bool = False
    skip: int = 0
    redirect: str | None = None
    pause: threading.Event | None = None


@dataclass
class Place:
    """A running server: what it serves, by path, and the requests it got: (path, Range, If-Range)."""

    url: str
    files: dict[str, Served] = field(default_factory=dict)
    requests: list[tuple[str, str | None, str | None]] = field(default_factory=list)


class QuietServer(http.server.ThreadingHTTPServer):
    """Says nothing of clients that went away: that is what many of these tests are about."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


@contextmanager
def open_place() -> Iterator[Place]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place.requests.append((self.path, self.headers["Range"], self.headers["If-Range"]))
            answer(self, place.files.get(self.path.lstrip("/")))

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with QuietServer(("127.0.0.1", 0), Handler) as server:
        place = Place(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield place
        finally:
            server.shutdown()


def answer(to: http.server.BaseHTTPRequestHandler, served: Served | None) -> None:
    status = 404 if served is None else (served.statuses.pop(0) if served.statuses else 0)
    if served is None or status:
        to.send_error(status)
        return
    if served.redirect:
        to.send_response(302)
        to.send_header("Location", served.redirect)
        to.end_headers()
        return
    start = _start(to, served)
    if start >= len(served.body) and start:
        to.send_error(416)
        return
    start += served.skip if start else 0
    body = served.body[start:]
    to.send_response(206 if start else 200)
    if start:
        to.send_header("Content-Range", f"bytes {start}-{len(served.body) - 1}/{len(served.body)}")
    if served.chunked:
        to.send_header("Transfer-Encoding", "chunked")
    elif served.length != 0:
        to.send_header("Content-Length", str((served.length or len(served.body)) - start))
    for name, value in (("ETag", served.etag), ("Last-Modified", served.modified), ("Content-Type", served.kind)):
        if value is not None:
            to.send_header(name, value)
    to.end_headers()
    cut = served.cuts.pop(0) if served.cuts else None
    _send(to, served, body[:cut])
    if cut is None and served.chunked:
        to.wfile.write(b"0\r\n\r\n")
    to.wfile.flush()
    to.close_connection = True
    if cut is not None:
        to.connection.shutdown(socket.SHUT_RDWR)


def _start(to: http.server.BaseHTTPRequestHandler, served: Served) -> int:
    asked = re.fullmatch(r"bytes=(\d+)-", to.headers["Range"] or "")
    condition = to.headers["If-Range"]
    if not asked or not served.ranges or condition not in (None, served.etag, served.modified):
        return 0
    return int(asked[1])


def _send(to: http.server.BaseHTTPRequestHandler, served: Served, body: bytes) -> None:
    for begin in range(0, len(body), 100_000):
        block = body[begin : begin + 100_000]
        to.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if served.chunked else block)
        if served.pause is not None:
            to.wfile.flush()
            served.pause.wait(20)
