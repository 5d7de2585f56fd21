"""What the server takes: sizes, numbers and rates, in one place, and the meter that counts requests."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from pydantic import Field

from mien.core.strict import StrictModel

ADDRESSES = 10_000
"""Addresses whose rate is remembered; the one that was silent longest is forgotten first."""


class Limits(StrictModel):
    """Limits of the server. All of them stand in ``GET /api/options``.

    Attributes:
        request_bytes: size of a request's body.
        picture_pixels: pixels of a picture, width times height, before anything is decoded.
        pictures: pictures that one request may carry.
        count: pictures that one request may ask for, those of a row included.
        steps: denoising steps.
        queue: pictures that may wait, of all users together.
        queue_each: pictures of one user that may wait.
        rate: requests a minute from one address; a landmark preview counts as a twentieth of one.
        batch: compatible pictures that are drawn together.
        body_seconds: time in which a request's body has to arrive.
        scored: pictures on each side of a comparison.
    """

    request_bytes: int = Field(default=24_000_000, ge=1000)
    picture_pixels: int = Field(default=24_000_000, ge=1024)
    pictures: int = Field(default=8, ge=1)
    count: int = Field(default=16, ge=1)
    steps: int = Field(default=60, ge=1)
    queue: int = Field(default=128, ge=1)
    queue_each: int = Field(default=32, ge=1)
    rate: int = Field(default=240, ge=1)
    batch: int = Field(default=8, ge=1)
    body_seconds: float = Field(default=60.0, gt=0)
    scored: int = Field(default=16, ge=1)


class RateMeter:
    """A token bucket for each address: as many requests as the limit at once, and as many in each minute.

    Args:
        rate: requests a minute.
        clock: seconds; for tests.
    """

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock, self._lock = rate, clock, threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, cost: float = 1.0) -> float:
        """Count a request; 0 if it may pass, else the seconds after which it may."""
        with self._lock:
            now = self._clock()
            left, then = self._left.pop(address, (float(self._rate), now))
            left = min(self._rate, left + (now - then) * self._rate / 60)
            passes = left >= cost
            self._left[address] = (left - cost if passes else left, now)
            while len(self._left) > ADDRESSES:
                self._left.popitem(last=False)
            return 0.0 if passes else (cost - left) * 60 / self._rate
