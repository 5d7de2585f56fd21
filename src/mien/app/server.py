"""The application: API, page, and how they are served."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import math
import os
import re
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from mien import __version__
from mien.app.connections import Connection
from mien.app.guard import Guard
from mien.app.limits import RateMeter
from mien.app.problems import WHOLE, FieldProblem, Refused
from mien.app.routes import build_routes
from mien.app.service import FAILED, PortraitService
from mien.errors import BadInput, MienError

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


def create_app(
    service: PortraitService,
    *,
    token: str | None = None,
    hosts: frozenset[str] = frozenset(),
    proxied: frozenset[str] = frozenset(),
) -> FastAPI:
    """The page and the API of a service, which begins to load when the application starts.

    Args:
        service: draws.
        token: see `Guard`.
        hosts: see `Guard`.
        proxied: see `Guard`.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    app = FastAPI(
        title="mien",
        version=__version__,
        summary="Portraits with separate controls for identity, expression, head pose, emotion and text.",
        lifespan=lifespan,
        docs_url=None,  # both pages would load their scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.include_router(build_routes(service, RateMeter(service.limits.rate)))
    app.add_exception_handler(FieldProblem, _field_problem)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(MienError, _other_problem)
    app.add_exception_handler(Exception, _fault)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.add_middleware(Guard, limits=service.limits, token=token, hosts=hosts, proxied=proxied)
    return app


def serve(
    service: PortraitService,
    host: str,
    port: int,
    *,
    token: str | None,
    started: Callable[[str], object],
    proxied: frozenset[str] = frozenset(),
) -> None:
    """Serve until interrupted.

    Args:
        service: draws.
        host: address to listen on.
        port: 0 takes a free one.
        token: None for no token.
        started: called with the address of the page once it answers.
        proxied: see `Guard`.

    Raises:
        MienError: if the address cannot be had.
    """
    listening = _listen(host, port)
    own = listening.getsockname()[1]
    hosts = LOOPBACK_NAMES if is_loopback(host) else frozenset()
    app = create_app(service, token=token, hosts=hosts, proxied=proxied)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    started(f"http://{shown}:{own}/" + (f"#token={token}" if token else ""))
    config = uvicorn.Config(
        app, http=Connection, log_level="warning", access_log=False, timeout_keep_alive=20, server_header=False
    )
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(18)


def host_names(given: Sequence[str]) -> frozenset[str]:
    """Names of hosts as ``Host`` and ``Origin`` have them.

    Raises:
        BadInput: for what is an address of a page, or no name.
    """
    for name in given:
        if not re.fullmatch(r"[\w.-]+|\[[\da-fA-F:]+\]", name, re.ASCII):
            raise BadInput(f"--known-as {name} is no name of a host: write it as portraits.example.org.")
    return frozenset(name.lower() for name in given)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        return listening
    except (OSError, UnicodeError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        why = "another program listens there" if taken else getattr(error, "strerror", None) or error
        raise MienError(f"Cannot listen on {host}:{port} ({why}): choose another with --port or --host.") from error


def _answer(status: int, errors: list[dict[str, str]], **headers: str) -> JSONResponse:
    return JSONResponse({"errors": errors}, status, headers=headers)


async def _field_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FieldProblem)  # as it is registered; so below
    return _answer(422, [{"field": error.field, "message": str(error)}])


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return _answer(429, [{"field": WHOLE, "message": str(error)}], **{"retry-after": str(math.ceil(error.seconds))})


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Pydantic's findings, the first of each field."""
    assert isinstance(error, RequestValidationError)
    found: dict[str, str] = {}
    for one in error.errors():
        place = [str(part) for part in one["loc"] if part not in ("body", "[key]")]
        field = place[0] if place and one["type"] != "json_invalid" else WHOLE
        unknown, given = one["type"] == "extra_forbidden", one.get("input")
        instead = f", not {given!r}" if isinstance(given, bool | int | float) and not unknown else ""
        where = ".".join(place[:3]) if field else "The request"
        what = "There is no such field; /api/openapi.json names those that there are" if unknown else one["msg"]
        found.setdefault(field, f"{where}: {what[:1].lower()}{what[1:]}{instead}.")
    return _answer(422, [{"field": field, "message": " ".join(text.split())} for field, text in found.items()])


async def _http_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentence = {404: "There is nothing at this address.", 405: "This address does not take that method."}
    said = sentence.get(error.status_code, f"{str(error.detail).rstrip('.')}.")
    return _answer(error.status_code, [{"field": WHOLE, "message": said}],
                   **(error.headers or {}))  # fmt: skip


async def _other_problem(_: Request, error: Exception) -> JSONResponse:
    return _answer(422, [{"field": WHOLE, "message": str(error)}])


async def _fault(_: Request, error: Exception) -> JSONResponse:
    log.error("a request failed", exc_info=error)
    return _answer(500, [{"field": WHOLE, "message": FAILED}])
