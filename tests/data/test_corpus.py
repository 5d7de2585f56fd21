from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from mien.data.corpus import Corpus
from mien.errors import MienError
from mien.training.face_labels import accuracy, attribute_classes, attribute_loss, label_batch
from tests.synthetic import write_corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), people=5, per_person=3, size=32)


def test_arrays_line_up_and_survive_the_cache(folder: Path) -> None:
    first, second = Corpus.load(folder), Corpus.load(folder)
    assert (folder / "prepared.safetensors").exists()
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


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="mien studio render"):
        Corpus.load(tmp_path)


def test_arrays_kept_from_before_there_was_headwear_are_read(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus.load(folder)
    kept = {name: words for name, words in corpus.attributes.items() if name != "headwear"}
    shards = [path.name for path in folder.glob("shard-*.tar")]
    for name in shards:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    metadata = {"shards": json.dumps(sorted(shards)), "captions": json.dumps(corpus.captions)}
    save_file(corpus.arrays, tmp_path / "prepared.safetensors", metadata | {"attributes": json.dumps(kept)})
    old = Corpus.load(tmp_path)
    assert old.attributes == corpus.attributes
    classes = attribute_classes()
    unknown = corpus.attributes["hair_style"][0]
    classes["hair_style"] = tuple(style for style in classes["hair_style"] if style != unknown)
    labels = label_batch(old, np.arange(4), classes)
    assert labels["headwear"].tolist() == [0] * 4
    assert labels["hair_style"][0] == -1, "what a network has no class for is not held against it"
    outputs = {name: torch.zeros(4, len(values)) for name, values in classes.items()}
    outputs |= {name: torch.zeros(4, 1) for name in ("skin_tone", "age", "gender")}
    assert attribute_loss(outputs, labels, classes).isfinite().all()
    assert accuracy(torch.eye(3)[[0, 1]], torch.tensor([0, -1])) == 1.0
