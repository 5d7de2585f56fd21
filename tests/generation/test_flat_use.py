"""Many calls in one process: memory, threads and handles stay where they are."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import NamedTuple

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


@pytest.mark.parametrize("call", [in_memory, to_files])
@pytest.mark.parametrize("calls", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_calls_leave_nothing(call, calls: int, tmp_path: Path) -> None:
    """A reader that is not freed is 23 MB, four threads and a handle a call; the first calls fill caches."""
    for number in range(3):
        call(number, tmp_path)
    before, threads = used(), threading.active_count()
    for number in range(calls):
        call(number, tmp_path)
    after = used()
    assert after.threads <= before.threads and after.handles <= before.handles
    assert threading.active_count() <= threads
    assert after.megabytes - before.megabytes < 60 + 0.5 * calls  # what allocators keep; a leak would be 23 a call
