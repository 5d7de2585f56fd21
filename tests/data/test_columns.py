"""Columns: written in parts, read as maps, and made again when they are damaged."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mien.data import columns
from mien.data.columns import HEADER, column_writer, read_column, write_header
from mien.data.corpus import Corpus
from mien.data.needs import COLUMNS
from mien.data.shards import ShardWriter, read_shard
from mien.data.texts import Texts, text_columns
from mien.errors import BadInput
from tests.synthetic import write_corpus


def write(path: Path, *parts: np.ndarray, key: str = "key") -> Path:
    with column_writer(path, key) as append:
        for part in parts:
            append(part)
    return path


def is_mapped(values: np.ndarray) -> bool:
    """Whether the values lie in a file."""
    owner: object = values
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    return isinstance(owner, np.memmap)


@pytest.mark.parametrize("kind", ["uint8", "int64", "float16", "float32", "float64", "bool"])
def test_what_is_written_in_parts_is_read_whole(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).normal(size=(7, 3, 5)).astype(kind)
    path = write(tmp_path / "one.safetensors", values[:2], values[2:6], values[6:])
    found = read_column(path, "key")
    assert found is not None and found.dtype == values.dtype and is_mapped(found)
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(load_file(path)["value"], values)  # a safetensors file like any other
    found[0] = 0
    again = read_column(path, "key")
    assert again is not None
    np.testing.assert_array_equal(again, values)


def test_rows_lie_in_memory_alike_when_they_are_made_and_when_they_are_read_again(tmp_path: Path) -> None:
    """Channels-last latents took other kernels: a continued run of 0.1.0 had other last bits than an unbroken one."""
    write_corpus(tmp_path, 2, 2)
    latents = np.arange(4 * 3 * 5 * 5, dtype=np.float16).reshape(4, 5, 5, 3).transpose(0, 3, 1, 2)
    made = Corpus.load(tmp_path).cached("latents", "a", lambda: iter([latents[:2], latents[2:]]))
    read = Corpus.load(tmp_path).cached("latents", "a", lambda: pytest.fail("made twice"))
    assert made.flags.c_contiguous and made.strides == read.strides
    np.testing.assert_array_equal(made, latents)


@pytest.mark.skipif(sys.platform != "linux", reason="sparse files and what Linux sets aside for copies")
def test_a_column_larger_than_memory_is_mapped_too(tmp_path: Path) -> None:
    """A sparse file of a terabyte; as a copy that may be written to, it would be refused."""
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as stream:
        stream.truncate(HEADER + 2**40)
    write_header(path, "key", (2**20, 2**20), np.dtype(np.uint8))
    found = read_column(path, "key")
    assert found is not None and found.shape == (2**20, 2**20) and found[2**19, 5] == 0
    found[3, 4] = 7
    again = read_column(path, "key")
    assert found[3, 4] == 7 and again is not None and again[3, 4] == 0


def test_a_column_of_something_else_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "one.safetensors", np.arange(3.0))
    assert read_column(path, "another") is None and read_column(tmp_path / "none.safetensors", "key") is None
    assert not caplog.records


@pytest.mark.parametrize("harm", ["cut", "longer", "bit", "header", "empty", "zeros"])
@pytest.mark.parametrize("block", [2**20, 64], ids=["whole", "blocks"])
def test_damage_is_noticed(
    tmp_path: Path, harm: str, block: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(columns, "BLOCK", block)
    path = write(tmp_path / "one.safetensors", np.arange(1, 2001))
    content = bytearray(path.read_bytes())
    if harm == "bit":
        content[HEADER + 3] ^= 1  # of the first block
    elif harm == "zeros":  # a disk that was full, or a machine that went down
        content[-200:] = bytes(200)
    elif harm == "header":
        content[8:40] = bytes(32)
    path.write_bytes({"cut": content[:-1], "longer": content + b"0", "empty": b""}.get(harm, bytes(content)))
    with caplog.at_level(logging.WARNING):
        assert read_column(path, "key") is None
    assert "is damaged" in caplog.text and "made again" in caplog.text


def test_a_column_of_the_release_before_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    save_file({"value": np.arange(6.0).reshape(3, 2)}, path, metadata={"key": "key"})
    np.testing.assert_array_equal(read_column(path, "key"), np.arange(6.0).reshape(3, 2))  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:-8])
    assert read_column(path, "key") is None


def test_rows_of_several_shapes_and_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\[2\] of float64 first and then \[3\]"):
        write(tmp_path / "one.safetensors", np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(BadInput, match="no rows"):
        write(tmp_path / "one.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_corpus_is_mapped_and_is_what_its_shards_hold(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path, people=3, per_person=3, size=32)
    for corpus in (Corpus.load(folder), Corpus.load(folder)):  # decoded, then from the columns
        assert all(is_mapped(values) for values in corpus.arrays.values())
        entries = list(read_shard(folder / "shard-00000.tar"))
        np.testing.assert_array_equal(corpus["images"], np.stack([entry.image for entry in entries]))
        wanted = np.stack([np.asarray(entry.sample.landmarks, np.float32) for entry in entries])
        np.testing.assert_array_equal(corpus["landmarks"], wanted)
        assert corpus.captions == [entry.sample.caption for entry in entries]
        images = corpus["images"]
        made = corpus.cached("twice", "a", lambda images=images: (images[at : at + 2] * 2 for at in range(0, 9, 2)))
        assert is_mapped(made) and is_mapped(corpus["twice"])
        np.testing.assert_array_equal(made, corpus["images"] * 2)


@pytest.mark.parametrize("harm", ["cut", "gone", "index"])
def test_damaged_columns_are_made_again(tmp_path: Path, harm: str) -> None:
    folder = write_corpus(tmp_path, people=2, per_person=3, size=32)
    before = {name: values.copy() for name, values in Corpus.load(folder).arrays.items()}
    path = folder / "prepared" / ("index.json" if harm == "index" else "images.safetensors")
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-5])
    for corpus in (Corpus.load(folder), again := Corpus.load(folder)):
        assert corpus.arrays.keys() == before.keys()
        for name, values in before.items():
            np.testing.assert_array_equal(corpus[name], values)
    assert len(again.captions) == 6 and (folder / "prepared" / "images.safetensors").exists()


def test_damaged_derived_columns_are_computed_again(tmp_path: Path) -> None:
    corpus, calls = Corpus.load(write_corpus(tmp_path, people=2, per_person=2, size=32)), []

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(4.0)

    corpus.cached("thing", "a", compute)
    (path,) = (tmp_path / "derived").glob("thing-*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_array_equal(corpus.cached("thing", "a", compute), np.arange(4.0))
    assert len(calls) == 2


def test_shards_of_several_sizes_or_kinds_are_refused(tmp_path: Path) -> None:
    for other, said in (({"size": 48}, "Not all pictures are alike"), ({"size": 32, "templates": True}, "pairs")):
        folder = write_corpus(tmp_path / said.replace(" ", "-"), people=1, per_person=2, size=32)
        more = write_corpus(tmp_path / "more", people=1, per_person=2, first=9, **other)  # pyright: ignore[reportArgumentType]
        with ShardWriter(folder / "shard-00001.tar") as writer:
            for entry in read_shard(more / "shard-00000.tar"):
                writer.write(entry)
        with pytest.raises(BadInput, match=said):
            Corpus.load(folder)
        assert not (folder / "prepared" / "index.json").exists()


def test_texts_are_read_by_row(tmp_path: Path) -> None:
    rows = [["a woman, smiling", ""], ["", "bob"], ["Zoë\nwith 😀", "none"]]
    parts = [text_columns(rows[:2], 0)]
    parts.append(text_columns(rows[2:], int(parts[0]["text_ends"][-1, -1])))
    content, ends = (np.concatenate([part[name] for part in parts]) for name in ("texts", "text_ends"))
    for which in (0, 1):
        texts = Texts(content, ends, which)
        assert texts == [row[which] for row in rows] and texts[-1] == rows[-1][which]
        assert texts[1:] == [row[which] for row in rows[1:]] and texts[1] == rows[1][which]
        with pytest.raises(IndexError):
            texts[3]


def test_an_empty_shard_beside_others_is_passed_over(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "some", people=1, per_person=2, size=32)
    with ShardWriter(folder / "shard-00001.tar"):
        pass
    assert len(Corpus.load(folder)) == 2
    with ShardWriter(tmp_path / "none" / "shard-00000.tar"):
        pass
    with pytest.raises(BadInput, match="no pictures"):
        Corpus.load(tmp_path / "none")


def test_a_column_that_is_whole_or_empty_is_not_looked_through(tmp_path: Path) -> None:
    """Which rows lack something is asked at every start; of landmarks that would read half a gigabyte."""
    corpus = Corpus.load(write_corpus(tmp_path, people=2, per_person=2, size=32))
    assert corpus.lacking["landmarks"] == 0 and corpus.lacking["landmarks_mediapipe"] == 4
    wanted = {need: corpus.missing(need) for need in COLUMNS}
    unread = replace(corpus, arrays={name: value[:0] for name, value in corpus.arrays.items()})
    for need, missing in wanted.items():
        np.testing.assert_array_equal(unread.missing(need), missing)
        np.testing.assert_array_equal(replace(corpus, lacking={}).missing(need), missing)
