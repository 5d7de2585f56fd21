"""Texts of a data set as two columns: the UTF-8 bytes of all, one behind the other, and where each ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

BYTES, ENDS = "texts", "text_ends"
"""Names of the two columns, uint8 [bytes] and int64 [N, W] of N rows with W texts each."""
_END = "\n"
"""Behind each text, so that there are bytes even where nobody said anything."""


class Texts(Sequence[str]):
    """One of the texts of each row, read when it is asked for: a million captions as strings would fill memory.

    Args:
        content: bytes of all texts.
        ends: [N, W] where each ends.
        which: of the W texts of a row.
    """

    def __init__(self, content: np.ndarray, ends: np.ndarray, which: int) -> None:
        self._content, self._ends, self._which = content, ends, which

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        place = range(len(self))[index] * self._ends.shape[1] + self._which
        ends = self._ends.reshape(-1)
        start = int(ends[place - 1]) if place else 0
        return bytes(self._content[start : int(ends[place]) - len(_END)]).decode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def text_columns(rows: Sequence[Sequence[str]], start: int) -> dict[str, np.ndarray]:
    """The two columns of some rows of W texts each, behind ``start`` bytes of earlier ones."""
    parts = [[(text + _END).encode() for text in row] for row in rows]
    ends = start + np.cumsum([len(part) for row in parts for part in row], dtype=np.int64)
    content = np.frombuffer(b"".join(part for row in parts for part in row), np.uint8)
    return {BYTES: content, ENDS: ends.reshape(len(rows), -1)}
