"""Columns of a data set on disk: arrays that are written part by part and read as memory maps.

A column is a safetensors file with one tensor, ``value``, and in its metadata the key of what it was made from and a
fingerprint of its bytes. What is mapped takes no memory of its own: the operating system reads the rows that are asked
for, and keeps them while there is room. Rows lie in C order from the first: torch picks its kernels by the strides, so
that a run would have other last bits where it made a column than where it found one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import mmap
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mien.core.io import atomic_path
from mien.errors import BadInput

log = logging.getLogger(__name__)

HEADER = 4096
"""Bytes before the values: those of the shape, which is known last, are filled in at the end."""
BLOCK, BLOCKS = 2**20, 64
"""What a fingerprint looks at: so many evenly spaced parts of so many bytes, or everything where there is less."""
_NORESERVE = 0x4000
"""Linux's MAP_NORESERVE, which Python names from 3.13 on."""
_TYPES = {
    "U8": np.uint8,
    "I32": np.int32,
    "I64": np.int64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "BOOL": np.bool_,
}
"""As safetensors names them."""


@contextmanager
def column_writer(path: Path, key: str) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends rows [n, ...] to a new column, which has its name once the block has ended.

    Args:
        path: of the file.
        key: of what the values are made from, see :func:`read_column`.

    Raises:
        BadInput: if the rows of one part are not like those of the others, or there are none.
    """
    count, shape, kind = 0, (), np.dtype(np.uint8)
    with atomic_path(path) as temporary:
        with temporary.open("wb") as stream:
            stream.write(bytes(HEADER))

            def append(part: np.ndarray) -> None:
                nonlocal count, shape, kind
                if count and (part.shape[1:] != shape or part.dtype != kind):
                    raise BadInput(
                        f"Not all pictures are alike: {path.stem} are {list(shape)} of {kind} first and then "
                        f"{list(part.shape[1:])} of {part.dtype}; keep them in data sets of their own."
                    )
                count, shape, kind = count + len(part), part.shape[1:], part.dtype
                stream.write(np.ascontiguousarray(part).data.cast("B") if part.size else b"")

            yield append
        if not count:
            raise BadInput(f"There are no rows for {path}: give a data set with pictures.")
        write_header(temporary, key, (count, *shape), kind)


def write_header(path: Path, key: str, shape: tuple[int, ...], kind: np.dtype) -> None:
    """Fill in what comes before the values of a column, which are there."""
    size = path.stat().st_size - HEADER
    name = next(name for name, one in _TYPES.items() if one == kind)
    values = np.memmap(path, np.uint8, "r", HEADER) if size else np.empty(0, np.uint8)
    header = {
        "__metadata__": {"key": key, "fingerprint": _fingerprint(values)},
        "value": {"dtype": name, "shape": list(shape), "data_offsets": [0, size]},
    }
    with path.open("r+b") as stream:
        stream.write((HEADER - 8).to_bytes(8, "little") + json.dumps(header).encode().ljust(HEADER - 8))


def read_column(path: Path, key: str) -> np.ndarray | None:
    """A column as a memory map [N, ...]; writing to it changes nothing on disk.

    Args:
        path: of the file.
        key: of what its values must have been made from.

    Returns:
        None if there is no such file, if it was made from something else, or if it is damaged.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, 2**20)))
        entry, metadata = header["value"], header["__metadata__"]
        if metadata.get("key") != key:
            return None
        size = path.stat().st_size - 8 - length
        values = _mapped(path, 8 + length) if size else np.empty(0, np.uint8)
        whole = entry["data_offsets"] == [0, size]
        # a column of 0.1.0 has no fingerprint
        if not whole or metadata.get("fingerprint", _fingerprint(values)) != _fingerprint(values):
            raise ValueError("its bytes are not those that were written")
        return values.view(np.ndarray).view(_TYPES[entry["dtype"]]).reshape(entry["shape"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged (%s) and is made again", path, error)
        return None


def _mapped(path: Path, offset: int) -> np.ndarray:
    """A file's bytes from an offset on, uint8 [n]; what is written to them is this process's own."""
    try:
        return np.memmap(path, np.uint8, "c", offset)
    except OSError as error:
        if error.errno != errno.ENOMEM or sys.platform != "linux":
            raise
    # Larger than memory: Linux would set aside as much for what might be written, which next to nobody does.
    with path.open("rb") as stream:
        kind, rights = mmap.MAP_PRIVATE | _NORESERVE, mmap.PROT_READ | mmap.PROT_WRITE
        return np.frombuffer(mmap.mmap(stream.fileno(), 0, flags=kind, prot=rights), np.uint8, offset=offset)


def _fingerprint(values: np.ndarray) -> str:
    """sha256 of the number of bytes [n] and of what `BLOCK` and `BLOCKS` say of them."""
    digest = hashlib.sha256(str(len(values)).encode())
    if len(values) <= BLOCK * BLOCKS:
        digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()
    for start in np.linspace(0, len(values) - BLOCK, BLOCKS).astype(np.int64):
        digest.update(np.ascontiguousarray(values[start : start + BLOCK]).data)
    return digest.hexdigest()
