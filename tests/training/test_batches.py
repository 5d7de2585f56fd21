from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.data.corpus import Corpus
from mien.training.batches import WeightedSampler, group_probabilities


def people(ages: list[float], tones: list[float]) -> Corpus:
    arrays = {"age": np.array(ages, np.float32), "skin_tone": np.array(tones, np.float32)}
    return Corpus(Path(), arrays, [""] * len(ages), {})


def test_groups_of_age_and_skin_become_alike() -> None:
    corpus = people([20, 25, 29.9, 70], [0.1, 0.2, 0.0, 0.9])  # three young and pale, one old and dark
    np.testing.assert_allclose(group_probabilities(corpus, 0.0), 1.0)
    weights = group_probabilities(corpus, 1.0)
    assert weights[:3].sum() == pytest.approx(weights[3])
    half = group_probabilities(corpus, 0.5)
    assert half[3] / half[0] == pytest.approx(3**0.5)


def test_the_ends_of_the_skin_tones_are_in_a_band() -> None:
    assert len(set(group_probabilities(people([60, 61, 90], [1.0, 0.75, 0.99]), 1.0))) == 1


def test_lots_fall_as_the_odds_say() -> None:
    lots = WeightedSampler(np.array([7, 8, 9]), np.array([1.0, 0.0, 3.0]))
    found = lots.draw(np.random.default_rng(0), 4000)
    counts = np.bincount(found, minlength=10)
    assert counts[8] == 0 and counts[7] + counts[9] == 4000
    assert counts[7] / 4000 == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(found, lots.draw(np.random.default_rng(0), 4000))
    assert len(lots.draw(np.random.default_rng(0), 0)) == 0
