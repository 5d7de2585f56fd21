"""Progress on the error stream: bars on a terminal, now and then a line where the stream goes to a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mien.cli.say import say

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from mien.core.progress import Step

SECONDS = 30.0
"""Least time between two lines, where the work does not name another."""
SHARE = 0.05
"""A line comes after this much more of the whole ..."""
PATIENCE = 600.0
"""... or, where that takes long, after this many seconds."""


def _to_stderr(line: str) -> None:
    say(line, error=True)


class Lines:
    """Prints how far a piece of work is, seldom enough for a log.

    Args:
        total: how many there are; None where nobody knows.
        label: of the work.
        clock: seconds.
        write: prints a line.
        seconds: least time between two lines; nothing is printed of work that is done within it.
    """

    def __init__(
        self,
        total: int | None,
        label: str,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], object] = _to_stderr,
        seconds: float = SECONDS,
    ) -> None:
        self._seconds = seconds
        self._total, self._label, self._clock, self._write = total, label, clock, write
        self._done, self._begun, self._printed = 0, clock(), (clock(), 0)
        self._first: int | None = None

    def __call__(self, count: int, note: str = "", /) -> None:
        """See :class:`Step`; what a continued piece of work reports at once was done before."""
        now = self._clock()
        self._done += count
        if self._first is None:
            self._first = count if now - self._begun < 1 else 0
            self._printed = self._printed[0], self._first
        when, done = self._printed
        enough = self._total is not None and self._done - done >= SHARE * self._total
        if now - when >= self._seconds and (enough or now - when >= PATIENCE or self._done == self._total):
            self._printed = now, self._done
            self._write(self._line(now, note))

    def _line(self, now: float, note: str) -> str:
        rate = (self._done - (self._first or 0)) / max(now - self._begun, 1e-9)
        parts = [f"{self._label}: {self._done}", f"{rate:.3g} a second"]
        if self._total is not None:
            parts[0] += f" of {self._total} ({self._done / max(self._total, 1):.0%})"
            if rate > 0 and self._done < self._total:
                parts.append(f"{_spell((self._total - self._done) / rate)} left")
        return ", ".join([*parts, note] if note else parts)


def _spell(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def bar(total: int | None, label: str, seconds: float = SECONDS) -> Iterator[Step]:
    """Yield a function that moves the bar by a number of ``total``; None where nobody knows how many there will be.

    Where the error stream is no terminal there are lines instead, at least ``seconds`` apart, see :class:`Lines`.
    """
    if not _on_terminal():
        yield Lines(total, label, seconds=seconds)
        return
    from rich.progress import MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    with _shown(MofNCompleteColumn(), TimeRemainingColumn(), Speed(), TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task(label, total=total, note="")

        def advance(count: int, note: str = "", /) -> None:
            progress.update(task, advance=count, note=note)

        yield advance


@contextmanager
def byte_bar(label: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function that sets the bar to (bytes done, bytes in all or None)."""
    from rich.progress import DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    with _shown(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _on_terminal() -> bool:
    from rich.console import Console

    return Console(stderr=True).is_terminal


def _shown(*columns: ProgressColumn) -> Progress:
    """A label, a bar and these columns."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress

    console = Console(stderr=True)
    return Progress(
        "{task.description}", BarColumn(), *columns, console=console, transient=True, disable=not console.is_terminal
    )
