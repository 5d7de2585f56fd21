"""Append-only files: nothing is glued together, nothing that was promised is lost."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from threading import Thread
from typing import IO

import pytest

from mien.core import log
from mien.core.log import append_line, only_process, read_lines, write_lines
from mien.errors import BadInput, MienError


def test_lines_come_back(tmp_path: Path) -> None:
    values = [{"a": 1}, "Zo\u00eb\u2028", [None, 1.5]]
    for value in values:
        append_line(tmp_path / "a.jsonl", value)
    write_lines(tmp_path / "b.jsonl", values)
    assert read_lines(tmp_path / "a.jsonl") == read_lines(tmp_path / "b.jsonl") == values
    assert read_lines(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("fragment", [b"{", b'{"a": 1}', b"\0" * 70_000, b"\xff"])
def test_a_fragment_is_left_out_and_cut_off_by_the_next_line(tmp_path: Path, fragment: bytes) -> None:
    path = tmp_path / "a.jsonl"
    append_line(path, 1)
    path.write_bytes(path.read_bytes() + fragment)
    assert read_lines(path) == [1] and path.read_bytes().endswith(fragment)  # reading writes nothing
    append_line(path, 2)
    assert path.read_bytes() == b"1\n2\n"


def test_lines_of_two_writers_at_once_are_both_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second writer begins after the first one looked where the file ends."""
    path = tmp_path / "a.jsonl"
    append_line(path, 0)
    end_of_lines, second = log._end_of_lines, Thread(target=append_line, args=(path, 2))

    def slow(stream: IO[bytes]) -> int:
        end = end_of_lines(stream)
        if threading.current_thread() is not second:
            second.start()
            second.join(0.5)  # it waits for the first one's line
        return end

    monkeypatch.setattr(log, "_end_of_lines", slow)
    append_line(path, 1)
    second.join()
    assert read_lines(path) == [0, 1, 2]


def test_a_disk_that_is_full_when_it_is_synchronised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    append_line(path, 1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MienError, match="No space left"):
        append_line(path, 2)
    assert path.read_bytes() == b"1\n"


def test_on_a_real_full_disk() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(MienError, match="Cannot write /dev/full"):
        append_line(full, 1)


def test_a_whole_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"1\n{\n3\n")
    with pytest.raises(BadInput, match="line 2"):
        read_lines(tmp_path / "a.jsonl")


def test_a_lock_is_held_by_one_and_freed_at_the_end(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            only_process(tmp_path / "lock", "it"),
            pytest.raises(MienError, match="works on it"),
            only_process(tmp_path / "lock", "it"),
        ):
            pass
    with pytest.raises(MienError, match="choose another folder"), only_process(tmp_path / "no" / "lock", "it"):
        pass
