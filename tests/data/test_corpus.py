from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.data.corpus import Corpus
from mien.errors import MienError
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
