"""Whoever connects and asks for nothing does not keep others out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'mien[app]'")
import uvicorn

from mien.app import connections

QUESTION = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def answers(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(connections, "IDLE", 1.0)
    monkeypatch.setattr(connections, "CONNECTIONS", 4)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(answers, http=connections.Connection, lifespan="off", log_level="critical"))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()
    server.should_exit = True
    thread.join(10)
    listening.close()


def connected(address: tuple[str, int], said: bytes = b"") -> socket.socket:
    one = socket.create_connection(address, timeout=30)
    one.sendall(said)
    return one


def answer(one: socket.socket) -> bytes:
    """What comes until the answer's end, or until the connection is closed."""
    told = b""
    while not told.endswith(b"ok") and (more := one.recv(4096)):
        told += more
    return told


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost:"])
def test_a_connection_that_asks_for_nothing_is_closed(address: tuple[str, int], said: bytes) -> None:
    with connected(address, said) as one:
        assert b"200" not in answer(one)


def test_the_rest_of_a_later_request_is_not_awaited_for_ever(address: tuple[str, int]) -> None:
    with connected(address, QUESTION) as one:
        assert answer(one).startswith(b"HTTP/1.1 200")
        one.sendall(QUESTION)
        assert answer(one).startswith(b"HTTP/1.1 200")
        one.sendall(b"GET / HT")
        assert answer(one) == b""


def test_silent_connections_do_not_keep_others_out_for_long(address: tuple[str, int]) -> None:
    silent = [connected(address) for _ in range(4)]
    with connected(address) as further:
        assert answer(further) == b""  # one too many
    for one in silent:
        assert answer(one) == b""
        one.close()
    with connected(address, QUESTION) as one:
        assert answer(one).startswith(b"HTTP/1.1 200")
