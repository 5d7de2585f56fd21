"""Progress of long work; `mien.cli.progress.bar` shows it to people."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

Bar = Callable[[int | None, str], AbstractContextManager[Callable[[int], Any]]]
"""(total or None where nobody knows it, label) -> a context whose value is called with how many more are done."""


def silent(total: int | None, label: str) -> AbstractContextManager[Callable[[int], Any]]:
    """No progress."""
    return nullcontext(lambda done: None)
