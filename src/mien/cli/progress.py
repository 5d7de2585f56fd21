"""Progress bars on the error stream, for people; silent where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


@contextmanager
def bar(total: int | None, label: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves the bar by a number of ``total``; None where nobody knows how many there will be."""
    from rich.progress import MofNCompleteColumn, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    with _shown(MofNCompleteColumn(), TimeRemainingColumn(), Speed()) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def byte_bar(label: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function that sets the bar to (bytes done, bytes in all or None)."""
    from rich.progress import DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    with _shown(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _shown(*columns: ProgressColumn) -> Progress:
    """A label, a bar and these columns."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress

    console = Console(stderr=True)
    return Progress(
        "{task.description}", BarColumn(), *columns, console=console, transient=True, disable=not console.is_terminal
    )
