"""The study as a small web server: the standard library's, one thread a request.

A browser is known by a random token in a cookie; what it is asked and what it has decided follow from that, so a closed
browser or a restarted server goes on where it was. Nothing that reaches the browser names a method.
"""

from __future__ import annotations

import json
import mimetypes
import re
import secrets
import socket
import sys
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

from mien.core.log import only_process
from mien.errors import MienError
from mien.evaluation.study.plan import LOCK, Study, Task, load_study, picture_of, tasks_of
from mien.evaluation.study.votes import Vote, Votes

COOKIE = "mien_study"
YEAR = 365 * 24 * 3600
LARGEST_BODY = 10_000
IDLE = 15.0
"""Seconds for which a connection may say nothing before it is closed."""
CONNECTIONS = 512
"""Connections at once, a thread each; a browser opens up to six. More are closed at once."""


class StudyServer(ThreadingHTTPServer):
    """Serves one study.

    Args:
        folder: the study.
        host: address to listen on, IPv4 or IPv6; only this machine by default.
        port: 0 takes a free one; ``server_port`` says which.

    Raises:
        MienError: if the folder holds no study, or the address cannot be had.
    """

    daemon_threads = True
    request_queue_size = 128  # 50 participants may press at once

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.folder = folder
        self.study: Study = load_study(folder)
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._held = ExitStack()
        self.page = resources.files("mien.evaluation.study").joinpath("page.html").read_bytes()
        self.host, self.address_family = host, socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), StudyHandler)
        except (OSError, UnicodeError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise MienError(f"Cannot listen on {host}:{port} ({why}): choose another with --port or --host.") from error
        try:
            self._held.enter_context(only_process(folder / LOCK, f"the study in {folder}"))
            self.votes = Votes(folder)
        except MienError:
            self.server_close()
            raise

    def server_close(self) -> None:
        """Stop listening, and let another process serve the study."""
        super().server_close()
        self._held.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if there are not too many already."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was started
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The whole life of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves in the middle of an answer is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """Of the first page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_port}/"


class StudyHandler(BaseHTTPRequestHandler):
    """``/`` the page, ``/next`` the next task, ``/vote`` a choice, ``/picture/...`` a picture of a task."""

    server: StudyServer  # type: ignore[assignment]  # the class that starts it passes itself
    protocol_version = "HTTP/1.1"
    timeout = IDLE

    def do_GET(self) -> None:
        """Answer a GET request."""
        token, path = self._token(), self.path.partition("?")[0]  # those who recruit participants append parameters
        if path == "/":
            return self._send(
                self.server.page, "text/html; charset=utf-8", new=None if token else secrets.token_hex(16)
            )
        if token is None:
            return self._fail(403, "Open the first page of this address, with cookies allowed.")
        if path == "/next":
            return self._json(self._next(token))
        found = re.fullmatch(r"/picture/(\d{1,6})/(shown|\d{1,6})/(\d{1,6})", path)
        try:
            file = self._picture(token, *found.groups()) if found else None
            content = None if file is None else file.read_bytes()
        except (MienError, OSError):  # the folder was changed since the server was started
            file = content = None
        if file is None or content is None:
            return self._fail(404, "There is no such page.")
        self._send(content, mimetypes.guess_type(file.name)[0] or "application/octet-stream", cache=True)

    def do_POST(self) -> None:
        """Answer a POST request."""
        token = self._token()
        try:
            vote = json.loads(self._body())
            if self.path != "/vote" or token is None:
                raise ValueError
            number, position = int(vote["task"]), int(vote["choice"])
            task = tasks_of(self.server.study, token)[number]
            choice = task.order[position]
            if min(number, position) < 0:
                raise IndexError
        except (ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError):
            return self._fail(400, "This is no vote.")
        try:
            is_new = self.server.votes.add(Vote(participant=token, question=task.question, set=task.set, choice=choice))
        except MienError:
            return self._fail(507, "The choice could not be kept, since the disk is full. Please choose again later.")
        if not is_new:
            return self._fail(409, "This was decided before.")
        self._json(self._next(token))

    def _body(self) -> bytes:
        """The body of the request; ValueError if its length is not a number or out of range."""
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= LARGEST_BODY:
            raise ValueError
        return self.rfile.read(length)

    def _next(self, token: str) -> dict[str, Any]:
        """The first task that is undecided, without a word of who made what."""
        tasks, decided = tasks_of(self.server.study, token), self.server.votes.of(token)
        open_tasks = [i for i, task in enumerate(tasks) if (task.question, task.set) not in decided]
        state: dict[str, Any] = {"title": self.server.study.title, "total": len(tasks), "done": len(decided)}
        if not open_tasks:
            return state | {"finished": True}
        number = open_tasks[0]
        question = self.server.study.questions[tasks[number].question]
        chosen = question.sets[tasks[number].set]
        options = [
            [f"/picture/{number}/{position}/{i}" for i in range(len(chosen.options[method]))]
            for position, method in enumerate(tasks[number].order)
        ]
        shown = [f"/picture/{number}/shown/{i}" for i in range(len(chosen.shown))]
        return state | {"task": number, "question": question.text, "shown": shown, "options": options}

    def _picture(self, token: str, number: str, place: str, index: str) -> Path | None:
        tasks = tasks_of(self.server.study, token)
        if int(number) >= len(tasks):
            return None
        files = self._files(tasks[int(number)], place)
        return picture_of(self.server.folder, files[int(index)]) if int(index) < len(files) else None

    def _files(self, task: Task, place: str) -> list[str]:
        chosen = self.server.study.questions[task.question].sets[task.set]
        if place == "shown":
            return chosen.shown
        return chosen.options[task.order[int(place)]] if int(place) < len(task.order) else []

    def _token(self) -> str | None:
        # not with http.cookies, which raises or stops at what other programs on this host have set
        found = re.search(rf"(?:^|;) *{COOKIE}=([0-9a-f]{{32}}) *(?:;|$)", self.headers.get("Cookie") or "")
        return None if found is None else found[1]

    def _json(self, value: dict[str, Any]) -> None:
        self._send(json.dumps(value).encode(), "application/json")

    def _fail(self, code: int, sentence: str) -> None:
        self._send(json.dumps({"error": sentence}).encode(), "application/json", code=code)

    def _send(self, body: bytes, kind: str, *, code: int = 200, new: str | None = None, cache: bool = False) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if code == 400:
            self.send_header("Connection", "close")  # what was refused may not have been read to its end
        # a picture's address belongs to one participant, and changes with them
        self.send_header("Cache-Control", "private, max-age=3600" if cache else "no-store")
        if new is not None:
            self.send_header("Set-Cookie", f"{COOKIE}={new}; Max-Age={YEAR}; Path=/; SameSite=Lax; HttpOnly")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: addresses of participants are nobody's business."""
