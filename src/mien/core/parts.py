"""Shares of work for machines that do not talk to each other: ``2/8`` is the second of eight."""

from __future__ import annotations

from contextlib import suppress

from mien.errors import BadInput


def parse_part(text: str) -> tuple[int, int]:
    """``2/8`` as (2, 8).

    Raises:
        BadInput: for anything else.
    """
    number, _, count = text.partition("/")
    with suppress(ValueError):
        if 1 <= int(number) <= int(count):
            return int(number), int(count)
    raise BadInput(f"Write a part as NUMBER/COUNT, such as 2/8, not {text!r}.")
