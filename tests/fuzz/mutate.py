"""Damaged copies of files, each a function of its seed and number: nothing is stored."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np

_HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0,
    2**31, 2**63, 2**64, 10**40, -(10**40), 1e308, -0.0, "", "\x1b]0;x\x07", "a\nb", "\u202e", "../" * 8,
    "/etc/passwd", "\0", "x" * 10_000, "²", "NaN", [], {}, [[]], [None] * 1000, {"": {}}, "999999",
)  # fmt: skip
_SIZES = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\0",
    b"\xff\xff",
    b"\0\0\xff\xff",
    b"\xff" * 8,
)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes: bytes, sizes, cuts, holes, repeats, a zeroed or foreign tail."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if not changed:
            break
        place = int(rng.integers(0, len(changed)))
        if rng.random() < 0.4:  # headers stand at the beginning
            place = min(place, int(rng.integers(0, 256)), len(changed) - 1)
        span = int(rng.integers(1, 64))
        kind = int(rng.integers(0, 8))
        if kind == 0:
            changed[place] = int(rng.integers(0, 256))
        elif kind == 1:
            changed[place] ^= 1 << int(rng.integers(0, 8))
        elif kind == 2:
            size = _SIZES[int(rng.integers(0, len(_SIZES)))]
            changed[place : place + len(size)] = size
        elif kind == 3:
            del changed[place:]
        elif kind == 4:
            del changed[place : place + span]
        elif kind == 5:
            changed[place:place] = changed[place : place + span]
        elif kind == 6:
            changed[place:] = bytes(len(changed) - place)
        else:
            changed[place : place + span] = rng.bytes(span)
    return bytes(changed)


def mutated_json(value: Any, rng: np.random.Generator) -> str:
    """A JSON text in which some values are hostile, some keys are gone or new; now and then no JSON at all."""
    value = json.loads(json.dumps(value))
    for _ in range(int(rng.integers(1, 4))):
        value = _changed(value, rng)
    text = json.dumps(value, ensure_ascii=bool(rng.integers(0, 2)))
    if rng.random() < 0.15:
        return mutated(text.encode(), rng).decode("utf-8", "replace")
    return text if rng.random() > 0.02 else "[" * 20_000


def _changed(value: Any, rng: np.random.Generator) -> Any:
    """A value with one place changed."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        places = list(value) if isinstance(value, dict) else range(len(value))
        place = places[int(rng.integers(0, len(places)))]
        if isinstance(value, dict) and rng.random() < 0.15:
            del value[place]
        elif isinstance(value, dict) and rng.random() < 0.1:
            value[_HOSTILE[11 + int(rng.integers(0, 6))]] = 1
        else:
            value[place] = _changed(value[place], rng)
        return value
    return copy.deepcopy(_HOSTILE[int(rng.integers(0, len(_HOSTILE)))])  # or a later change would be one of the list
