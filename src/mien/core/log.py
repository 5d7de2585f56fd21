"""Files of JSON lines that survive a full disk, a stopped machine and two processes at once."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from mien.core.io import UNTEXT, write_text
from mien.errors import BadInput, MienError

log = logging.getLogger(__name__)
PAUSE = 0.2
"""Seconds between two looks at what another process is doing."""


def append_line(path: Path, value: object) -> None:
    """Append one JSON line, written through to the disk; where that fails the file is as it was.

    A last line without its end, left by a machine that stopped, is cut off first: nobody was told that it counts.

    Raises:
        MienError: if it cannot be written.
    """
    line = json.dumps(value, ensure_ascii=False).encode("utf-8", UNTEXT) + b"\n"
    try:
        with path.open("a+b", buffering=0) as stream:
            with suppress(OSError):  # a disk without locks has one writer
                _lock(stream, wait=True)  # a part of another process's line is no fragment
            end = _end_of_lines(stream)
            if stream.seek(0, os.SEEK_END) != end:
                stream.truncate(end)
            try:
                _write_all(stream, line)
                os.fsync(stream.fileno())
            except BaseException:
                stream.truncate(end)  # or the next line would be glued to the fragment
                raise
    except OSError as error:
        raise MienError(f"Cannot write {path}: {error.strerror or error}; free some space and try again.") from error


def _end_of_lines(stream: IO[bytes]) -> int:
    """Where the last whole line of a file ends."""
    end = stream.seek(0, os.SEEK_END)
    if not end:
        return 0
    stream.seek(end - 1)
    if stream.read(1) == b"\n":
        return end
    stream.seek(0)
    return (stream.read() or b"").rfind(b"\n") + 1


def _write_all(stream: IO[bytes], content: bytes) -> None:
    while content:
        content = content[stream.write(content) :]  # a nearly full disk takes a part


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Write a whole file of JSON lines at once.

    Raises:
        MienError: if it cannot be written.
    """
    write_text(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def read_lines(path: Path) -> list[Any]:
    """The values of a file of JSON lines; a last line without its end is left out, since nobody was told of it.

    The file is not written to: another process may be in the middle of a line.

    Raises:
        BadInput: if a whole line is no JSON, naming it.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    values = []
    for number, line in enumerate(whole.split(b"\n")[:-1], 1):
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}, line {number} is no JSON; mend or remove the line.") from error
    return values


@contextmanager
def only_process(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file for the time of the block; the system drops the lock when a process dies, however it does.

    Args:
        path: the lock file; it stays, empty.
        what: for the message, such as ``the study in FOLDER``.

    Raises:
        MienError: if another process holds it, or it cannot be made.
    """
    with tried_lock(path) as ours:
        if not ours:
            raise MienError(f"Another process works on {what}: stop it first.")
        yield


@contextmanager
def tried_lock(path: Path) -> Iterator[bool]:
    """Hold a lock file for the time of the block, and say whether it could be had; see :func:`only_process`.

    Raises:
        MienError: if it cannot be made.
    """
    try:
        stream = path.open("ab")
    except OSError as error:
        raise MienError(f"Cannot write to {path.parent}: {error.strerror}; choose another folder.") from error
    with stream:
        try:
            _lock(stream)
            ours = True
        except (BlockingIOError, PermissionError):
            ours = False
        except OSError as error:
            raise MienError(f"Cannot lock {path}: {error.strerror}; choose a folder on another disk.") from error
        yield ours


@contextmanager
def awaited_lock(path: Path, what: str) -> Iterator[None]:
    """Wait for a lock file and hold it for the time of the block.

    Args:
        path: the lock file; its folder is there.
        what: that another process is doing, for the log.
    """
    said = False
    while True:
        with tried_lock(path) as ours:
            if ours:
                yield
                return
        if not said:
            log.info("waiting for another process: %s", what)
            said = True
        time.sleep(PAUSE)


def _lock(stream: IO[bytes], wait: bool = False) -> None:
    """Take an exclusive lock on an open file; closing the file drops it.

    Args:
        stream: the file.
        wait: until it can be had, or else raise at once where another holds it.

    Raises:
        OSError: if it cannot be had.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
