"""Progress of long work; `mien.cli.progress.bar` shows it to people."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

Advance = Callable[[int], Any]
"""Called with how many more are done."""

Bar = Callable[[int | None, str], AbstractContextManager[Advance]]
"""(total or None where nobody knows it, label) -> a context whose value is an `Advance`."""


def silent(total: int | None, label: str) -> AbstractContextManager[Advance]:
    """No progress."""
    return nullcontext(lambda done: None)
