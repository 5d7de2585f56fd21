"""Connections that ask for nothing: closed after a while, and only so many are held."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

IDLE = 20.0
"""Seconds in which a request's line and headers must have come."""
CONNECTIONS = 256
"""Connections held at once; further ones are closed at once."""


_Uvicorns: Any = AutoHTTPProtocol
"""One of two classes, for what is installed."""


class Connection(_Uvicorns):
    """uvicorn's, which by itself waits for ever for a first request and for the rest of one that was begun."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Somebody connected."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.close()
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Bytes came: once they are a whole request, there is nothing to wait for."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._timer is None:  # the beginning of a later request
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(IDLE, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
