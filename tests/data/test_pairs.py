"""Pairs of pictures of one person, and datasets that cannot give them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from mien.data.corpus import Corpus
from mien.data.pairs import Pairs
from mien.errors import BadInput


def corpus(person: list[int], yaw: list[float], smile: list[float]) -> Corpus:
    pose = np.zeros((len(person), 3), np.float32)
    pose[:, 0] = yaw
    coefficients = np.repeat(np.asarray(smile, np.float32)[:, None], 53, 1)
    arrays = {"person": np.asarray(person), "pose": pose, "coefficients": coefficients}
    return Corpus(Path("somewhere"), arrays, [""] * len(person), {})


def drawn(pairs: Pairs, row: int, seed: int = 0) -> dict[int, float]:
    """Partner of a row -> its share of the draws."""
    found = pairs.partners(np.full(2000, row), np.random.default_rng(seed))
    return {int(one): float((found == one).mean()) for one in np.unique(found)}


def test_partners_are_of_another_expression_and_pose_or_the_same() -> None:
    """FaceCrafter 3.2: row 0 has a twin (1), a smile at its pose (2) and a smile turned away (3)."""
    one = corpus([1, 1, 1, 1, 2, 2], [0, 0, 3, 30, 50, 50], [0, 0, 1, 1, 0, 1])
    assert drawn(Pairs(one), 0) == {3: 1.0}
    assert drawn(Pairs(one, same_pose=True), 0) == {2: 1.0}
    # every partner of the wanted kind is as likely
    assert drawn(Pairs(one), 3) == {0: pytest.approx(0.5, abs=0.05), 1: pytest.approx(0.5, abs=0.05)}
    rows = np.random.default_rng(1).integers(0, 6, 500)
    first, again = (Pairs(one).partners(rows, np.random.default_rng(2)) for _ in range(2))
    assert (first == again).all() and (one.person_index[first] == one.person_index[rows]).all()


def test_without_such_a_partner_there_is_another() -> None:
    """Any other picture, or where the pose is to be the same the nearest in pose of some."""
    turned = corpus([1] * 4 + [2] * 2, [0, 12, 60, 90, 0, 0], [0, 0, 0, 0.5, 0, 0.5])
    assert drawn(Pairs(turned), 5) == {4: 1.0}
    assert drawn(Pairs(turned, same_pose=True), 5) == {4: 1.0}
    still = corpus([1] * 4 + [2] * 2, [0, 12, 60, 90, 0, 20], [0, 0, 0, 0, 0, 0.5])
    assert set(drawn(Pairs(still), 0)) == {1, 2, 3}
    near = drawn(Pairs(turned, same_pose=True), 0)
    assert near[1] > 0.7 and set(near) <= {1, 2, 3}


def test_a_dataset_without_such_pairs_is_refused() -> None:
    alone = corpus([1, 2, 3], [0, 20, 40], [0, 0.5, 1])
    still = corpus([1, 1, 2, 2], [0, 0, 10, 10], [0, 0.5, 0, 0.5])
    for same_pose in (False, True):
        with pytest.raises(BadInput, match="several pictures of each person"):
            Pairs(alone, same_pose)
    with pytest.raises(BadInput, match="another pose and expression"):
        Pairs(still)
    assert Pairs(still, same_pose=True).shares() == (1, 1)
    with pytest.raises(BadInput, match="another expression at the same pose"):
        Pairs(corpus([1, 1], [0, 0], [0.5, 0.5]), same_pose=True)


def test_few_pairs_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        few = Pairs(corpus([1, 1, 2, 3, 4, 5], [0, 20, 0, 0, 0, 0], [0, 0.5, 0, 0, 0, 0]))
        Pairs(corpus([1, 1], [0, 40], [0, 0.5]), same_pose=True)
    assert few.shares() == (pytest.approx(2 / 6), pytest.approx(2 / 6))
    assert "33 %" in caplog.text and "only 0 %" in caplog.text
    lone = np.array([3, 3])
    assert (few.partners(lone, np.random.default_rng(0)) == lone).all()
