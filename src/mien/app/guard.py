"""What every request passes first: who may come, from where, how large it is, and what browsers may do with the answer.

Plain ASGI, since middleware that reads bodies to their end would undo the limit of their size.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException

from mien.app.limits import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


OPEN = ("/", "/api/health")
"""Paths that need no token: the page asks for it, and says nothing itself. So do its own files."""

HEADERS = {
    b"content-security-policy": b"default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    b"style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"camera=(self), microphone=(), geolocation=()",
}
"""Everything comes from this server; no other page may frame it."""


class Guard:
    """Refuses before anything is read what may not come in.

    Args:
        app: what is guarded.
        limits: see `Limits`.
        token: what ``Authorization: Bearer`` has to carry; None for no token.
        hosts: names that the server may be called by; a page of elsewhere that resolves to this machine (DNS
            rebinding) calls it by another. Empty for any.
        proxied: names by which a proxy is called that passes requests on, whether or not it passes its name on too.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        token: str | None = None,
        hosts: frozenset[str] = frozenset(),
        proxied: frozenset[str] = frozenset(),
    ) -> None:
        self.app, self.limits, self.token, self.hosts, self.proxied = app, limits, token, hosts, proxied

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                extra = [(name, value) for name, value in HEADERS.items() if name not in given]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(answer, *refusal)
            return
        await self.app(scope, _BoundedBody(receive, self.limits), answer)

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> tuple[int, str] | None:
        host = headers.get(b"host", "")
        if self.hosts and _name(host) not in self.hosts | self.proxied:
            return 421, "This server is not known by that name: call it as it was started."
        origin = headers.get(b"origin")
        if origin is not None and (called := urlsplit(origin).netloc) != host and _name(called) not in self.proxied:
            return 403, "Pages of other sites may not use this server."
        path = scope["path"]
        if self.token and path not in OPEN and not path.startswith("/page/"):
            given = headers.get(b"authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode("latin-1", "replace"), self.token.encode()):
                return 401, "This server wants a token: send it as  Authorization: Bearer TOKEN."
        try:
            length = int(headers.get(b"content-length", "0"))
        except ValueError:
            return 400, "The length of the request is not a number."
        if length > self.limits.request_bytes:
            return 413, _too_large(self.limits)
        return None


def _too_large(limits: Limits) -> str:
    return f"The request is larger than {limits.request_bytes / 1e6:g} MB: send smaller pictures."


class _BoundedBody:
    """`receive` of ASGI with a limit of bytes, and of seconds until the body is whole.

    It raises HTTPException, the one error that FastAPI lets through while it reads a body.
    """

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive, self._limits = receive, limits
        self._bytes, self._whole = 0, False
        self._deadline = asyncio.get_running_loop().time() + limits.body_seconds

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()  # from here on it tells only that somebody went away
        left = self._deadline - asyncio.get_running_loop().time()
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0.001))
        except TimeoutError as error:
            raise HTTPException(408, "The request did not arrive in time: send it again.") from error
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._bytes > self._limits.request_bytes:
                raise HTTPException(413, _too_large(self._limits))
        return message


def _name(host: str) -> str:
    """A Host header without the port."""
    return (host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]).lower()


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"errors": [{"field": "", "message": sentence}]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    headers.append((b"connection", b"close"))  # what was refused may not have been read to its end
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
