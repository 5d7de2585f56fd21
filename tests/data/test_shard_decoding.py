"""Shards that several processes decode together."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien.data.decoding as module
from mien.core.io import read_json
from mien.core.processes import available_cores, own_cores
from mien.data.corpus import Corpus
from mien.data.shards import ShardWriter, count_portraits, read_shard, shard_name, shard_paths
from mien.errors import BadInput
from tests.synthetic import write_corpus


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven shards of one to three portraits, and one of none; decoded in this process alone."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "64")
    entries = list(read_shard(write_corpus(tmp_path / "one", people=5, per_person=3, size=32) / "shard-00000.tar"))
    for number, some in enumerate((3, 1, 2, 0, 3, 2, 3, 1)):
        with ShardWriter(tmp_path / "several" / shard_name(number)) as writer:
            for _ in range(some):
                writer.write(entries.pop(0))
    return tmp_path / "several"


def expected(folder: Path) -> Corpus:
    """The same portraits in one shard."""
    return Corpus.load(folder.parent / "one")


def same(found: Corpus, other: Corpus) -> None:
    assert found.captions == other.captions and found.attributes == other.attributes
    assert found.arrays.keys() == other.arrays.keys() and dict(found.lacking) == dict(other.lacking)
    for name, values in other.arrays.items():
        np.testing.assert_array_equal(found[name], values)


def test_shards_make_the_columns_that_one_shard_makes(folder: Path) -> None:
    same(Corpus.load(folder), expected(folder))
    assert not list((folder / "prepared").glob(".parts-*"))
    assert [count_portraits(path) for path in shard_paths(folder)] == [3, 1, 2, 0, 3, 2, 3, 1]


def noting(monkeypatch: pytest.MonkeyPatch, fails_at: int | None = None) -> list[str]:
    """Which shards this process decodes; at one of them it is stopped."""
    decoded: list[str] = []
    decode = module._decode_shard

    def noted(path: Path) -> Any:
        if len(decoded) == fails_at:
            raise KeyboardInterrupt
        decoded.append(path.name)
        return decode(path)

    monkeypatch.setattr(module, "_decode_shard", noted)
    return decoded


def test_a_stopped_decoding_goes_on_where_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        before = noting(patched, fails_at=5)
        with pytest.raises(KeyboardInterrupt):
            Corpus.load(folder)
    after = noting(monkeypatch)
    found = Corpus.load(folder)
    assert len(before) == 5 and sorted(before + after) == [path.name for path in shard_paths(folder)]
    same(found, expected(folder))


def test_a_stop_while_columns_get_their_names_loses_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, calls = module.write_header, []

    def stopped(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        header(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_header", stopped)
        with pytest.raises(KeyboardInterrupt):
            Corpus.load(folder)
    decoded = noting(monkeypatch)
    found = Corpus.load(folder)
    assert decoded == []
    same(found, expected(folder))


def _load(folder: Path, decoded: Any, slow: float) -> None:
    decode = module._decode_shard

    def noted(path: Path) -> Any:
        time.sleep(slow)
        decoded.append((os.getpid(), path.name))
        return decode(path)

    module._decode_shard = noted
    Corpus.load(folder)


def test_processes_share_the_shards_and_a_killed_ones_are_made_again(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        decoded = manager.list()
        processes = [context.Process(target=_load, args=(folder, decoded, 0.1)) for _ in range(3)]
        for one in processes:
            one.start()
        while not any(pid == processes[0].pid for pid, _ in decoded):
            time.sleep(0.01)
        assert processes[0].pid is not None
        os.kill(processes[0].pid, signal.SIGKILL)
        for one in processes:
            one.join(60)
        assert [one.exitcode for one in processes] == [-9, 0, 0]
        names = [name for _, name in decoded]
    assert set(names) == {path.name for path in shard_paths(folder)} and len(names) <= len(set(names)) + 1
    same(Corpus.load(folder), expected(folder))


def test_each_process_of_a_machine_takes_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for told, share in (("1", available_cores()), (str(available_cores()), 1), ("64", 1), ("", available_cores())):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", told)
        assert own_cores() == share


def test_other_shards_leave_nothing_of_a_stopped_decoding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        noting(patched, fails_at=2)
        with pytest.raises(KeyboardInterrupt):
            Corpus.load(folder)
    assert len(list((folder / "prepared").glob(".parts-*"))) == 1
    shutil.copy(folder / shard_name(1), folder / shard_name(8))
    assert len(Corpus.load(folder)) == 16 and not list((folder / "prepared").glob(".parts-*"))
    assert len(read_json(folder / "prepared" / "index.json")["shards"]) == 9


def test_shards_that_hold_nothing_or_unlike_portraits_are_refused(folder: Path) -> None:
    alone = folder.parent / "alone"
    alone.mkdir()
    shutil.copy(folder / shard_name(3), alone / shard_name(0))
    with pytest.raises(BadInput, match="hold no pictures"):
        Corpus.load(alone)
    large = write_corpus(folder.parent / "large", people=1, per_person=1, size=64) / shard_name(0)
    shutil.copy(large, folder / shard_name(8))
    with pytest.raises(BadInput, match="Not all pictures are alike"):
        Corpus.load(folder)
