"""The study as a small web server: the standard library's, one thread a request.

A browser is known by a random token in a cookie; what it is asked and what it has decided follow from that, so a closed
browser or a restarted server goes on where it was. Nothing that reaches the browser names a method.
"""

from __future__ import annotations

import json
import mimetypes
import re
import secrets
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

from mien.evaluation.study.plan import Study, Task, load_study, tasks_of
from mien.evaluation.study.votes import Vote, Votes

COOKIE = "mien_study"
YEAR = 365 * 24 * 3600
LARGEST_BODY = 10_000


class StudyServer(ThreadingHTTPServer):
    """Serves one study.

    Args:
        folder: the study.
        host: address to listen on; only this machine by default.
        port: 0 takes a free one; ``server_port`` says which.

    Raises:
        MienError: if the folder holds no study.
    """

    daemon_threads = True
    request_queue_size = 128  # 50 participants may press at once

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.folder = folder
        self.study: Study = load_study(folder)
        self.votes = Votes(folder)
        self.page = resources.files("mien.evaluation.study").joinpath("page.html").read_bytes()
        super().__init__((host, port), StudyHandler)


class StudyHandler(BaseHTTPRequestHandler):
    """``/`` the page, ``/next`` the next task, ``/vote`` a choice, ``/picture/...`` a picture of a task."""

    server: StudyServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a GET request."""
        token = self._token()
        if self.path == "/":
            return self._send(
                self.server.page, "text/html; charset=utf-8", new=None if token else secrets.token_hex(16)
            )
        if token is None:
            return self._fail(403, "Open the first page of this address, with cookies allowed.")
        if self.path == "/next":
            return self._json(self._next(token))
        found = re.fullmatch(r"/picture/(\d+)/(shown|\d+)/(\d+)", self.path)
        file = self._picture(token, *found.groups()) if found else None
        if file is None:
            return self._fail(404, "There is no such page.")
        self._send(file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream", cache=True)

    def do_POST(self) -> None:
        """Answer a POST request."""
        token, length = self._token(), int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, LARGEST_BODY))
        if self.path != "/vote" or token is None or length > LARGEST_BODY:
            return self._fail(400, "This is no vote.")
        try:
            told = json.loads(body)
            number, position = int(told["task"]), int(told["choice"])
            task = tasks_of(self.server.study, token)[number]
            choice = task.order[position]
            if min(number, position) < 0:
                raise IndexError
        except (ValueError, KeyError, IndexError, TypeError):
            return self._fail(400, "This is no vote.")
        if not self.server.votes.add(Vote(token, task.question, task.set, choice)):
            return self._fail(409, "This was decided before.")
        self._json(self._next(token))

    def _next(self, token: str) -> dict[str, Any]:
        """The first task that is undecided, without a word of who made what."""
        tasks, decided = tasks_of(self.server.study, token), self.server.votes.of(token)
        open_tasks = [i for i, task in enumerate(tasks) if (task.question, task.set) not in decided]
        told: dict[str, Any] = {"title": self.server.study.title, "total": len(tasks), "done": len(decided)}
        if not open_tasks:
            return told | {"finished": True}
        number = open_tasks[0]
        question = self.server.study.questions[tasks[number].question]
        chosen = question.sets[tasks[number].set]
        options = [
            [f"/picture/{number}/{position}/{i}" for i in range(len(chosen.options[method]))]
            for position, method in enumerate(tasks[number].order)
        ]
        shown = [f"/picture/{number}/shown/{i}" for i in range(len(chosen.shown))]
        return told | {"task": number, "question": question.text, "shown": shown, "options": options}

    def _picture(self, token: str, number: str, place: str, index: str) -> Path | None:
        tasks = tasks_of(self.server.study, token)
        if int(number) >= len(tasks):
            return None
        files = self._files(tasks[int(number)], place)
        return self.server.folder / files[int(index)] if int(index) < len(files) else None

    def _files(self, task: Task, place: str) -> list[str]:
        chosen = self.server.study.questions[task.question].sets[task.set]
        if place == "shown":
            return chosen.shown
        return chosen.options[task.order[int(place)]] if int(place) < len(task.order) else []

    def _token(self) -> str | None:
        morsel = SimpleCookie(self.headers.get("Cookie") or "").get(COOKIE)
        return morsel.value if morsel is not None and re.fullmatch(r"[0-9a-f]{32}", morsel.value) else None

    def _json(self, value: dict[str, Any]) -> None:
        self._send(json.dumps(value).encode(), "application/json")

    def _fail(self, code: int, sentence: str) -> None:
        self._send(json.dumps({"error": sentence}).encode(), "application/json", code=code)

    def _send(self, body: bytes, kind: str, *, code: int = 200, new: str | None = None, cache: bool = False) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        # a picture's address belongs to one participant, and changes with them
        self.send_header("Cache-Control", "private, max-age=3600" if cache else "no-store")
        if new is not None:
            self.send_header("Set-Cookie", f"{COOKIE}={new}; Max-Age={YEAR}; Path=/; SameSite=Lax; HttpOnly")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: addresses of participants are nobody's business."""
