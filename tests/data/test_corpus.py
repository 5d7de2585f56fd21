from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.core.io import read_json, write_json
from mien.data.columns import column_writer
from mien.data.corpus import Corpus
from mien.data.shards import ShardWriter, read_shard
from mien.errors import BadInput, MienError
from mien.training.face_labels import accuracy, attribute_classes, attribute_loss, label_batch
from tests.synthetic import write_corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), people=5, per_person=3, size=32)


def test_arrays_line_up_and_survive_the_cache(folder: Path) -> None:
    first, second = Corpus.load(folder), Corpus.load(folder)
    assert (folder / "prepared" / "images.safetensors").exists()
    assert len(first) == 15 and first.people == 5
    assert first["images"].shape == (15, 32, 32, 3) and first["masks"].shape == (15, 64, 64)
    assert np.isnan(first["landmarks_mediapipe"]).all()
    for name in first.arrays:
        np.testing.assert_array_equal(first[name], second[name])
    assert first.captions == second.captions and first.attributes == second.attributes


def test_same_person_gives_another_picture_of_the_same(folder: Path) -> None:
    corpus, rng = Corpus.load(folder), np.random.default_rng(0)
    rows = np.repeat(np.arange(15), 20)
    other = corpus.same_person(rows, rng)
    assert (corpus.person_index[other] == corpus.person_index[rows]).all()
    assert (other != rows).all()
    assert {tuple(pair) for pair in np.stack([rows, other], 1)} == {
        (a, b) for a in range(15) for b in range(15) if a != b and corpus.person_index[a] == corpus.person_index[b]
    }


def test_derived_arrays_are_kept_while_their_key_stays(folder: Path) -> None:
    corpus, calls = Corpus.load(folder), []

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(15.0)

    corpus.cached("thing", "a", compute)
    Corpus.load(folder).cached("thing", "a", compute)
    assert len(calls) == 1
    corpus.cached("thing", "b", compute)
    assert len(calls) == 2 and corpus["thing"][3] == 3


@pytest.mark.parametrize("damage", ["zeroed tail", "cut", "no file of ours"])
def test_damaged_caches_are_made_anew(tmp_path: Path, damage: str) -> None:
    write_corpus(tmp_path, people=2, per_person=2, size=32)
    corpus = Corpus.load(tmp_path)
    corpus.cached("thing", "a", lambda: np.arange(2000.0).reshape(4, 500))
    first = {name: values.copy() for name, values in corpus.arrays.items()}  # columns are maps of the files
    for path in (tmp_path / "prepared" / "images.safetensors", *(tmp_path / "derived").glob("thing-*.safetensors")):
        content = path.read_bytes()
        if damage == "zeroed tail":
            path.write_bytes(content[:-1000] + bytes(1000))
        else:
            path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"what")
    again = Corpus.load(tmp_path)
    again.cached("thing", "a", lambda: np.arange(2000.0).reshape(4, 500) + 1)
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert again["thing"][0, 0] == 1
    assert Corpus.load(tmp_path).cached("thing", "a", lambda: pytest.fail("made twice"))[0, 0] == 1


def test_records_of_fewer_attributes_are_made_anew(tmp_path: Path) -> None:
    write_corpus(tmp_path, people=2, per_person=2, size=32)
    colors = Corpus.load(tmp_path).attributes["glasses_color"]
    place = tmp_path / "prepared" / "index.json"
    index = read_json(place)
    index["texts"].remove("glasses_color")
    write_json(place, index)
    assert Corpus.load(tmp_path).attributes["glasses_color"] == colors


def test_other_content_under_the_same_names_is_noticed(tmp_path: Path) -> None:
    write_corpus(tmp_path, people=2, per_person=2, size=32)

    def mean(corpus: Corpus) -> np.ndarray:
        return corpus.cached("mean", "a", lambda: corpus["images"].mean((1, 2, 3)))

    old = Corpus.load(tmp_path)
    mean(old)
    write_corpus(tmp_path, people=2, per_person=2, size=32, seed=5)
    new = Corpus.load(tmp_path)
    for name in ("images", "coefficients"):
        assert new[name].shape == old[name].shape and not np.array_equal(new[name], old[name])
    np.testing.assert_array_equal(mean(new), new["images"].mean((1, 2, 3)))
    assert {path.name for path in tmp_path.iterdir()} == {"shard-00000.tar", "prepared", "derived"}


def test_a_copied_folder_keeps_what_was_derived(folder: Path, tmp_path: Path) -> None:
    """Other times of the same files: the shards are read again, and nothing more."""
    Corpus.load(folder).cached("copied", "a", lambda: np.arange(15.0))
    shutil.copytree(folder, tmp_path / "copy")
    shard = tmp_path / "copy" / "shard-00000.tar"
    os.utime(shard, ns=(0, shard.stat().st_mtime_ns + 1))
    copied = Corpus.load(tmp_path / "copy")
    assert copied.digest == Corpus.load(folder).digest != ""
    copied.cached("copied", "a", lambda: pytest.fail("computed again"))


def test_columns_of_two_models_lie_side_by_side_and_those_of_before_are_read(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    corpus = Corpus.load(tmp_path / "copy")

    def rows(factor: float) -> Callable[[slice], np.ndarray]:
        return lambda rows: np.arange(rows.start, rows.stop) * factor

    for model, factor in (("one", 1.0), ("two", 2.0)):
        corpus.computed("latents", model, rows(factor))
    for model, factor in (("one", 1.0), ("two", 2.0)):
        found = corpus.computed("latents", model, lambda rows: pytest.fail("computed again"))
        np.testing.assert_array_equal(found, np.arange(len(corpus)) * factor)
    with column_writer(tmp_path / "copy" / "derived" / "older.safetensors", f"{corpus.digest}-one") as append:
        append(np.arange(float(len(corpus))))  # as 0.1.0 called it
    np.testing.assert_array_equal(corpus.computed("older", "one", lambda rows: pytest.fail("made")), corpus["older"])
    assert corpus.computed("older", "two", rows(3.0))[1] == 3.0


def test_pictures_that_are_not_square_are_refused(tmp_path: Path) -> None:
    shard = write_corpus(tmp_path, people=1, per_person=3, size=32) / "shard-00000.tar"
    entry, *rest = read_shard(shard)
    with ShardWriter(shard) as writer:
        for one in (*rest, replace(entry, image=np.zeros((32, 48, 3), np.uint8), mask=None)):
            writer.write(one)
    with pytest.raises(BadInput, match=r"shard-00000\.tar: .*0000000-000 is 48 x 32 pixels.*crop .* square"):
        Corpus.load(tmp_path)


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="mien studio render"):
        Corpus.load(tmp_path)


def test_words_without_a_class_are_not_held_against_a_network(folder: Path) -> None:
    corpus = Corpus.load(folder)
    classes = attribute_classes()
    unknown = corpus.attributes["hair_style"][0]
    classes["hair_style"] = tuple(style for style in classes["hair_style"] if style != unknown)
    labels = label_batch(corpus, np.arange(4), classes)
    assert labels["headwear"].tolist() == [0] * 4
    assert labels["hair_style"][0] == -1, "what a network has no class for is not held against it"
    outputs = {name: torch.zeros(4, len(values)) for name, values in classes.items()}
    outputs |= {name: torch.zeros(4, 1) for name in ("skin_tone", "age", "gender")}
    assert attribute_loss(outputs, labels, classes).isfinite().all()
    assert accuracy(torch.eye(3)[[0, 1]], torch.tensor([0, -1])) == 1.0
