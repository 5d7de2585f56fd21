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


def test_partners_of_the_same_pose_are_the_nearest_of_some() -> None:
    turned = corpus([1] * 6, [0, 1, 30, 31, 60, 61], [0, 1, 0, 1, 0, 1])
    rows, rng = np.repeat(np.arange(6), 500), np.random.default_rng(0)
    chosen = Pairs(turned, same_pose=True).partners(rows, rng)
    anyone = Pairs(turned).partners(rows, rng)
    apart = [np.abs(turned["pose"][some, 0] - turned["pose"][rows, 0]) for some in (chosen, anyone)]
    assert (chosen != rows).all() and (apart[0] <= 1).mean() > 0.5 > 0.3 > (apart[1] <= 1).mean()


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
