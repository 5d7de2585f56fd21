"""Columns that several processes make together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data.columns import read_column
from mien.data.shared_columns import shared_column
from mien.errors import BadInput

ROWS = 50


def expected(rows: slice) -> np.ndarray:
    return np.arange(rows.start, rows.stop, dtype=np.float16)[:, None] * np.ones((1, 3), np.float16)


def made(folder: Path, chunk: int = 8) -> list[slice]:
    """Make the column; which slices this process made."""
    mine: list[slice] = []

    def of_rows(rows: slice) -> np.ndarray:
        mine.append(rows)
        return expected(rows)

    found = shared_column(folder / "one.safetensors", "key", ROWS, of_rows, chunk)
    np.testing.assert_array_equal(found, expected(slice(0, ROWS)))
    return mine


def test_it_is_made_once_and_nothing_else_is_left(tmp_path: Path) -> None:
    assert sorted(rows.start for rows in made(tmp_path)) == list(range(0, ROWS, 8))
    assert made(tmp_path) == [] and [path.name for path in tmp_path.iterdir()] == ["one.safetensors"]
    assert read_column(tmp_path / "one.safetensors", "another") is None


def test_a_stopped_preparation_goes_on_where_it_was(tmp_path: Path) -> None:
    calls = 0

    def fails(rows: slice) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return expected(rows)

    with pytest.raises(KeyboardInterrupt):
        shared_column(tmp_path / "one.safetensors", "key", ROWS, fails, 8)
    assert len(made(tmp_path)) == 4  # of seven


def test_a_column_that_is_damaged_later_is_made_again(tmp_path: Path) -> None:
    made(tmp_path)
    path = tmp_path / "one.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert len(made(tmp_path)) == 7


def test_parts_must_be_alike_and_whole(tmp_path: Path) -> None:
    def ragged(rows: slice) -> np.ndarray:
        return np.zeros((rows.stop - rows.start, 2 if rows.start else 3))

    with pytest.raises(BadInput, match="Not all pictures are alike"):
        shared_column(tmp_path / "one.safetensors", "key", ROWS, ragged, 8)
    with pytest.raises(BadInput, match="1 values were made for rows"):
        shared_column(tmp_path / "two.safetensors", "key", ROWS, lambda rows: np.zeros((1, 2)), 8)
    with pytest.raises(BadInput, match="no rows"):
        shared_column(tmp_path / "three.safetensors", "key", 0, expected)


def worker(folder: str, slow: bool, told: Any) -> None:
    def of_rows(rows: slice) -> np.ndarray:
        told.put(rows.start)
        time.sleep(60.0 if slow else 0.05)
        return expected(rows)

    shared_column(Path(folder) / "one.safetensors", "key", ROWS, of_rows, 8)


def test_processes_share_the_work_and_that_of_a_killed_one_is_made_again(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told, slow_told = context.Queue(), context.Queue()
    slow = context.Process(target=worker, args=(str(tmp_path), True, slow_told))
    slow.start()
    held = slow_told.get(timeout=60)  # it holds this part
    others = [context.Process(target=worker, args=(str(tmp_path), False, told)) for _ in range(2)]
    for one in others:
        one.start()
    first = [told.get(timeout=60) for _ in range(6)]
    assert held not in first and len(set(first)) == 6
    assert slow.pid is not None
    os.kill(slow.pid, signal.SIGKILL)
    assert told.get(timeout=60) == held
    for one in others:
        one.join(60)
        assert one.exitcode == 0
    assert made(tmp_path) == []
