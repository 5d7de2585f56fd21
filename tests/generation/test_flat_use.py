"""Many calls in one process: memory, threads and handles stay where they are."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import mien
from mien.generation.generate import generate
from mien.generation.request import GenerateRequest

EXAMPLES = Path(mien.__file__).parent / "assets" / "examples"
ADA, LAUGH = EXAMPLES / "person-Ada.png", EXAMPLES / "template-laugh.png"
STATUS = Path("/proc/self/status")
pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="counts what Linux tells in /proc")


class Used(NamedTuple):
    """What this process holds.

    Attributes:
        megabytes: resident.
        threads: of the system, also those that Python does not know.
        handles: open files and sockets.
    """

    megabytes: float
    threads: int
    handles: int


def used() -> Used:
    gc.collect()
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return Used(int(lines["VmRSS"].split()[0]) / 1024, int(lines["Threads"]), len([*Path("/proc/self/fd").iterdir()]))


def in_memory(number: int, folder: Path) -> None:
    mien.generate(identity=ADA, expression=LAUGH, emotion="happy", seed=number, steps=1, reader="auto")


def to_files(number: int, folder: Path) -> None:
    request = GenerateRequest(identity=ADA, expression=LAUGH, seed=number, steps=1, output=folder, reader="auto")
    assert generate(request)[0].exists()


def read(number: int, folder: Path) -> None:
    mien.read(ADA, reader="auto")


def score(number: int, folder: Path) -> None:
    mien.score(reference=[ADA], generated=[LAUGH], reader="auto")


@cache
def service() -> tuple[ExitStack, str]:
    """The page's service on a real socket, until the end of the process."""
    from mien.app.limits import Limits
    from mien.app.service import PortraitService
    from tests.app.browsing import served

    stack = ExitStack()
    address = stack.enter_context(served(PortraitService(Limits(rate=100_000), reader="studio")))
    return stack, address


@pytest.fixture(scope="module", autouse=True)
def end_of_service() -> Iterator[None]:
    yield
    if service.cache_info().currsize:
        service()[0].close()


def over_http(number: int, folder: Path) -> None:
    """A request that is drawn and one that is refused, each on a connection of its own."""
    pytest.importorskip("fastapi", reason="needs the extra 'app'")
    asked = {"identity": "studio:Ada", "expression": "studio:laugh", "seed": number, "steps": 1}
    for body, status in ((asked, 200), ({"yaw": 1000}, 422)):
        request = Request(
            f"{service()[1]}api/generate", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        try:
            with urlopen(request, timeout=120) as answer:
                assert answer.status == status and answer.read()
        except HTTPError as error:
            with error:
                assert error.code == status


CALLS = (in_memory, to_files, read, score, over_http)
FEW = [pytest.param(call, 6, marks=() if call in (in_memory, to_files) else pytest.mark.slow) for call in CALLS]
MANY = [pytest.param(call, 100, marks=pytest.mark.slow) for call in CALLS]


@pytest.mark.parametrize(("call", "calls"), [*FEW, *MANY])
def test_calls_leave_nothing(call: Callable[[int, Path], None], calls: int, tmp_path: Path) -> None:
    """A reader that is not freed is 23 MB, four threads and a handle a call; the first calls fill caches."""
    for number in range(3):
        call(number, tmp_path)
    before, threads = used(), threading.active_count()
    for number in range(calls):
        call(number, tmp_path)
    after = used()
    end = time.monotonic() + 20  # a server closes a connection in a thread of its own, after its client has the answer
    while (after.handles > before.handles or after.threads > before.threads) and time.monotonic() < end:
        time.sleep(0.2)
        after = used()
    assert after.threads <= before.threads and after.handles <= before.handles
    assert threading.active_count() <= threads
    assert after.megabytes - before.megabytes < 60 + 0.5 * calls  # what allocators keep; a leak would be 23 a call
