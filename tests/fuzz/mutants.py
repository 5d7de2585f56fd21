"""Damaged model files, made from a seed: the same number is always the same damage, so that none is stored."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

Change = Callable[[random.Random, bytes], bytes]
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "C64", "X9", "", 7)
"""Names of number formats that a header may state, some of which there are not."""
SIZES = (0, 1, -1, 2**31, 2**63 - 1, 2**64, 1e308, "7", None, [], {}, True)
NESTED = 3000
"""Levels of nesting that no parser of JSON takes by recursion."""


def mutant(path: Path, seed: int, to: Path) -> Path:
    """Write a damaged copy of a file.

    Args:
        path: ``.safetensors``, ``.json``, or anything else, which is damaged byte by byte.
        seed: which damage.
        to: the file to write.
    """
    chance = random.Random(seed)
    kinds = {".safetensors": (*_BYTES, *_HEADER, *_HEADER), ".json": (*_BYTES, *_JSON, *_JSON)}.get(path.suffix, _BYTES)
    content = path.read_bytes()
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        content = chance.choice(kinds)(chance, content)
    to.write_bytes(content)
    return to


def _flip(chance: random.Random, content: bytes) -> bytes:
    found = bytearray(content)
    for _ in range(chance.choice((1, 8, 64)) if found else 0):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _flip_early(chance: random.Random, content: bytes) -> bytes:
    """Where formats keep their lengths and names."""
    return _flip(chance, content[:600]) + content[600:]


def _truncate(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.choice((0, 1, 7, 8, 9, len(content) // 2, max(len(content) - 1, 0)))]


def _zero_tail(chance: random.Random, content: bytes) -> bytes:
    start = chance.randrange(len(content) + 1)
    return content[:start] + bytes(len(content) - start)


def _append(chance: random.Random, content: bytes) -> bytes:
    return content + chance.randbytes(chance.choice((1, 8, 4096)))


def _swap(chance: random.Random, content: bytes) -> bytes:
    if len(content) < 64:
        return content
    one, other = sorted(chance.randrange(len(content) - 16) for _ in range(2))
    piece = content[one : one + 16]
    return content[:one] + content[other : other + 16] + content[one + 16 : other] + piece + content[other + 16 :]


_BYTES: tuple[Change, ...] = (_flip, _flip_early, _truncate, _zero_tail, _append, _swap)


def _with_header(change: Callable[[random.Random, dict[str, Any]], Any]) -> Change:
    """A change of the JSON in front of the tensors, with its length put right."""

    def changed(chance: random.Random, content: bytes) -> bytes:
        try:
            (length,) = struct.unpack("<Q", content[:8])
            header = json.loads(content[8 : 8 + length])
            change(chance, header)
        except (struct.error, ValueError, LookupError, AttributeError, TypeError, RecursionError, OverflowError):
            return _flip(chance, content)  # an earlier change left nothing to change
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + content[8 + length :]

    return changed


def _tensors(header: dict[str, Any]) -> list[str]:
    return [key for key in header if key != "__metadata__"]


def _other_dtype(chance: random.Random, header: dict[str, Any]) -> None:
    for key in chance.sample(_tensors(header), chance.choice((1, 3))):
        header[key]["dtype"] = chance.choice(DTYPES)


def _same_width(chance: random.Random, header: dict[str, Any]) -> None:
    """Bits that are read as other numbers: a float32 as an int32."""
    pairs = {"F32": "I32", "F16": "BF16", "BF16": "I16", "I64": "F64"}
    for key in chance.sample(_tensors(header), chance.choice((1, 3))):
        header[key]["dtype"] = pairs.get(header[key]["dtype"], "U8")


def _other_shape(chance: random.Random, header: dict[str, Any]) -> None:
    shape = header[chance.choice(_tensors(header))]["shape"]
    if chance.random() < 0.5:
        shape.reverse()
    else:
        shape[chance.randrange(len(shape))] = chance.choice(SIZES)


def _other_offsets(chance: random.Random, header: dict[str, Any]) -> None:
    one, other = chance.sample(_tensors(header), 2)
    header[one]["data_offsets"], header[other]["data_offsets"] = (
        header[other]["data_offsets"],
        header[one]["data_offsets"],
    )


def _huge(chance: random.Random, header: dict[str, Any]) -> None:
    header[chance.choice(_tensors(header))]["data_offsets"] = [0, chance.choice((2**40, 2**63, -1))]


def _rename(chance: random.Random, header: dict[str, Any]) -> None:
    for key in chance.sample(_tensors(header), chance.choice((1, 5))):
        header[chance.choice((key + "x", key[1:], key.upper(), "", "." + key, key.partition(".")[2]))] = header.pop(key)


def _metadata(chance: random.Random, header: dict[str, Any]) -> None:
    kept = header.setdefault("__metadata__", {"format": "pt"})
    key = chance.choice(list(kept))
    value = kept[key]
    try:
        inner = json.loads(value)
        kept[key] = json.dumps(_json_change(chance, inner))
    except (ValueError, TypeError):
        kept[key] = chance.choice(("", "{", "[]", "null", "[" * NESTED, "2", "pt", 7, {}, value + "x"))


def _json_change(chance: random.Random, value: Any) -> Any:
    """One thing somewhere in a JSON value is another."""
    place: Any
    holders: list[Any] = []

    def collect(one: Any) -> None:
        if isinstance(one, dict | list) and one:
            holders.append(one)
            for inner in one.values() if isinstance(one, dict) else one:
                collect(inner)

    collect(value)
    if not holders:
        return chance.choice((None, [], {}, 0, "x"))
    holder = chance.choice(holders)
    place = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    action = chance.choice(("value", "value", "value", "remove", "name", "nest"))
    if action == "remove":
        del holder[place]
    elif action == "name" and isinstance(holder, dict):
        holder[f"{place}x"] = holder.pop(place)
    elif action == "nest":
        holder[place] = [[holder[place]]]
    else:
        holder[place] = chance.choice((*SIZES, "x", -7, float("nan"), "\u0000", "../../etc/passwd"))
    return value


def _json_whole(chance: random.Random, content: bytes) -> bytes:
    try:
        return json.dumps(_json_change(chance, json.loads(content))).encode()
    except (ValueError, RecursionError):
        return _flip(chance, content)


def _json_deep(chance: random.Random, content: bytes) -> bytes:
    return chance.choice((b"[" * NESTED, b'{"a":' * NESTED, b"[]", b"null", b"\xff\xfe", b'{"a": 1}{'))


_HEADER: tuple[Change, ...] = tuple(
    map(_with_header, (_other_dtype, _same_width, _other_shape, _other_offsets, _huge, _rename, _metadata, _metadata))
)
_JSON: tuple[Change, ...] = (_json_whole, _json_whole, _json_whole, _json_deep)
