"""Ctrl-C and SIGTERM, heeded when a step is done."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set the event inside, also where a shell started us with SIGINT ignored.

    Raises:
        KeyboardInterrupt: at the end if one came, at once when there comes a second one.
    """
    came = threading.Event()

    def note(number: int, frame: object) -> None:
        if came.is_set():
            raise KeyboardInterrupt
        came.set()
        log.warning("Stopping: the run is saved after this step. A second Ctrl-C leaves at once and saves nothing.")

    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield came
        return
    kept = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    if came.is_set():
        raise KeyboardInterrupt


def ignore_interrupts() -> None:
    """For a process that another one ends: what reaches all processes of a terminal is that one's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
