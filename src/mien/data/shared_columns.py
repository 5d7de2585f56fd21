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
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from mien.core.io import make_folder, write_json
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
    first = os.getpid() * 7919 % len(slices)  # each begins elsewhere
    order = [*range(first, len(slices)), *range(first)]
    while (value := read_column(path, key)) is None:
        make_folder(parts)
        try:
            _make_missing(parts, slices, order, of_rows)
            _finish(parts, path, key, count, len(slices))
        except (FileNotFoundError, MienError):
            if read_column(path, key) is None:  # else another process has finished and taken the folder away
                raise
    shutil.rmtree(parts, ignore_errors=True)
    return value


def _make_missing(parts: Path, slices: list[slice], order: list[int], of_rows: Callable[[slice], np.ndarray]) -> None:
    """Make parts until all are there, by whomever."""
    while missing := [number for number in order if not _mark(parts, number).exists()]:
        made = False
        if not parts.is_dir():
            raise FileNotFoundError(parts)
        for number in missing:
            with _taken(parts, number) as ours:
                if not ours or _mark(parts, number).exists():
                    continue
                log.info("%s: rows %d to %d", parts.stem, slices[number].start, slices[number].stop)
                _write(parts, number, slices[number], of_rows(slices[number]))
                made = True
        if not made:
            time.sleep(PAUSE)


def _taken(parts: Path, number: int) -> AbstractContextManager[bool]:
    """A part for the time of a block, and whether it is ours."""
    return tried_lock(parts / f"{number:06d}.lock")


def _mark(parts: Path, number: int) -> Path:
    return parts / f"{number:06d}.json"


def _write(parts: Path, number: int, rows: slice, values: np.ndarray) -> None:
    if len(values) != rows.stop - rows.start:
        raise BadInput(f"{parts.stem}: {len(values)} values were made for rows {rows.start} to {rows.stop}.")
    values = np.ascontiguousarray(values)
    place = HEADER + rows.start * (values.nbytes // len(values))
    try:
        (parts / _VALUES).touch()
        with (parts / _VALUES).open("r+b", buffering=0) as stream:
            stream.seek(place)
            left = values.data.cast("B") if values.nbytes else memoryview(b"")
            while left:
                left = left[stream.write(left) :]  # a nearly full disk takes a part
            os.fsync(stream.fileno())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise MienError(f"Cannot write {parts}: {error.strerror}; free some space and try again.") from error
    write_json(_mark(parts, number), {"shape": list(values.shape[1:]), "dtype": values.dtype.name})


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
        said = {_mark(parts, one).read_text(encoding="utf-8") for one in range(number)}
        if len(said) > 1:
            raise BadInput(
                f"Not all pictures are alike: the parts of {path.stem} have {len(said)} shapes or types; keep them in "
                "data sets of their own."
            )
        about = json.loads(said.pop())
        write_header(parts / _VALUES, key, (count, *about["shape"]), np.dtype(about["dtype"]))
        (parts / _VALUES).replace(path)
