"""Columns that several processes make together, each the parts that no other has taken.

The values lie in one file from the beginning, at the places that they have in the end. A part is taken by a lock, which
the system drops when its process dies, and marked when it is written; so what a dead process was at is made again by
another one, a stopped preparation goes on where it was, and nobody waits at a barrier while there is something to make.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.io import make_folder, read_json, write_json
from mien.core.log import PAUSE, tried_lock
from mien.data.columns import HEADER, read_column, write_header
from mien.errors import BadInput, MienError

log = logging.getLogger(__name__)

CHUNK = 256
"""Rows of a part."""
_VALUES = "values"


def shared_column(
    path: Path, key: str, count: int, of_rows: Callable[[slice], np.ndarray], chunk: int = CHUNK
) -> np.ndarray:
    """A column as a memory map, made by whoever asks for it at the same time.

    Args:
        path: of the file; parts lie in a folder beside it until it is whole.
        key: of what it is made from; other keys have other paths.
        count: rows.
        of_rows: makes the rows of a slice.
        chunk: rows of a part.

    Raises:
        BadInput: if the parts are not alike, or there are no rows.
        MienError: if it cannot be written.
    """
    if not count:
        raise BadInput(f"There are no rows for {path}: give a data set with pictures.")
    parts = path.with_suffix(f".parts-{chunk}")
    slices = [slice(start, min(start + chunk, count)) for start in range(0, count, chunk)]

    def make(number: int) -> dict[str, Any]:
        rows, values = slices[number], of_rows(slices[number])
        if len(values) != rows.stop - rows.start:
            raise BadInput(f"{parts.stem}: {len(values)} values were made for rows {rows.start} to {rows.stop}.")
        write_rows(parts / _VALUES, rows.start, values)
        return {"shape": list(values.shape[1:]), "dtype": values.dtype.name}

    while (value := read_column(path, key)) is None:
        try:
            make_together(parts, len(slices), make)
            _finish(parts, path, key, count, len(slices))
        except (FileNotFoundError, MienError):
            if read_column(path, key) is None:  # else another process has finished and taken the folder away
                raise
    take_away(parts)
    return value


def take_away(parts: Path) -> None:
    """Remove the folder of a finished work. It loses its name first: another process must not find a half of it."""
    away = parts.with_name(f"{parts.name}.{os.getpid()}.done")
    with suppress(OSError):  # it is gone already
        parts.rename(away)
        shutil.rmtree(away, ignore_errors=True)


def make_together(parts: Path, count: int, make: Callable[[int], Mapping[str, Any]]) -> None:
    """Make parts until all are there, whoever made them: each is made by one of the processes that call this.

    Args:
        parts: folder of the locks, and of what is said of each part that is made.
        count: how many parts there are.
        make: number of a part -> what is said of it, see `said_of`; called for those that nobody has made.

    Raises:
        FileNotFoundError: if the folder is taken away meanwhile, as by a process that has finished.
    """
    make_folder(parts)
    first = os.getpid() * 7919 % count  # each begins elsewhere
    order = [*range(first, count), *range(first)]
    while missing := [number for number in order if not _mark(parts, number).exists()]:
        made = False
        if not parts.is_dir():
            raise FileNotFoundError(parts)
        for number in missing:
            with _taken(parts, number) as ours:
                if not ours or _mark(parts, number).exists():
                    continue
                log.info("%s: part %d of %d", parts.stem, number + 1, count)
                write_json(_mark(parts, number), make(number))
                made = True
        if not made:
            time.sleep(PAUSE)


def said_of(parts: Path, count: int) -> list[dict[str, Any]]:
    """What was said of each part of :func:`make_together`."""
    return [read_json(_mark(parts, number)) for number in range(count)]


def write_rows(file: Path, start: int, values: np.ndarray) -> None:
    """Write rows [n, ...] at their place in a column's file, which lacks its header yet.

    Raises:
        FileNotFoundError: if its folder is gone.
        MienError: if it cannot be written.
    """
    values = np.ascontiguousarray(values)
    place = HEADER + start * (values.nbytes // len(values))
    try:
        file.touch()
        with file.open("r+b", buffering=0) as stream:
            stream.seek(place)
            left = values.data.cast("B") if values.nbytes else memoryview(b"")
            while left:
                left = left[stream.write(left) :]  # a nearly full disk takes a part
            os.fsync(stream.fileno())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise MienError(f"Cannot write {file}: {error.strerror}; free some space and try again.") from error


def _taken(parts: Path, number: int) -> AbstractContextManager[bool]:
    """A part for the time of a block, and whether it is ours."""
    return tried_lock(parts / f"{number:06d}.lock")


def _mark(parts: Path, number: int) -> Path:
    return parts / f"{number:06d}.json"


def alike(name: str, said: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Shape and type of a column's rows, which all parts must have said.

    Raises:
        BadInput: if they differ.
    """
    kinds = {json.dumps(one, sort_keys=True) for one in said}
    if len(kinds) > 1:
        raise BadInput(
            f"Not all pictures are alike: the parts of {name} have {len(kinds)} shapes or types; keep them in data "
            "sets of their own."
        )
    return said[0]


def _finish(parts: Path, path: Path, key: str, count: int, number: int) -> None:
    """Give the file its header and its name, whoever comes first."""
    with tried_lock(parts / "finish.lock") as ours:
        if not ours:
            time.sleep(PAUSE)
            return
        if not (parts / _VALUES).exists():  # it has its name already; if it is damaged there, all is made again
            if read_column(path, key) is None:
                for one in range(number):
                    _mark(parts, one).unlink(missing_ok=True)
            return
        about = alike(path.stem, said_of(parts, number))
        write_header(parts / _VALUES, key, (count, *about["shape"]), np.dtype(about["dtype"]))
        (parts / _VALUES).replace(path)
