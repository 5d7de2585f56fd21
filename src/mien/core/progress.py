"""Progress of long work; `mien.cli.progress.bar` shows it to people."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Advance = Callable[[int], object]
"""Called with how many more are done."""


class Step(Protocol):
    """An `Advance` that also takes a few words."""

    def __call__(self, count: int, note: str = "", /) -> object:
        """Report that ``count`` more are done, perhaps with a few words such as the loss."""
        ...


Bar = Callable[[int | None, str], AbstractContextManager[Step]]
"""(total or None where nobody knows it, label) -> a context whose value is a `Step`."""


def silent(total: int | None, label: str) -> AbstractContextManager[Step]:
    """No progress."""
    return nullcontext(lambda count, note="", /: None)


def step_of(advance: Advance) -> Step:
    """A `Step` that leaves the words out."""
    return lambda count, note="", /: advance(count)
