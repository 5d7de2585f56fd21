from __future__ import annotations

import numpy as np
import pytest

from mien.evaluation.statistics.bootstrap import cluster_weights, interval, resamples, weighted_means


def test_rows_of_one_cluster_are_drawn_together() -> None:
    people, targets = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    weights = cluster_weights([people, targets], 50, np.random.default_rng(0)).reshape(50, 3, 4)
    # each weight is (how often the person was drawn) x (how often the target was)
    assert (weights.sum((1, 2)) == 12).all()
    persons, columns = weights.sum(2) / 4, weights.sum(1) / 3
    assert np.allclose(weights, persons[:, :, None] * columns[:, None, :])


def test_the_data_themselves_come_first() -> None:
    weights = resamples([[7, 7, 9]], 5, np.random.default_rng(3))
    assert weights.shape == (6, 3) and (weights[0] == 1).all()
    assert np.array_equal(weights[1:], cluster_weights([[7, 7, 9]], 5, np.random.default_rng(3)))


def test_means_leave_out_what_is_missing() -> None:
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 5.0], [0.0, 0.0, 1.0]])
    assert weighted_means([1.0, 3.0, np.nan], weights)[:2] == pytest.approx([2, 1])
    assert np.isnan(weighted_means([1.0, 3.0, np.nan], weights)[2])


def test_the_interval_of_a_mean_has_the_known_width() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=400)
    samples = weighted_means(values, cluster_weights([np.arange(400)], 2000, rng))
    low, high = interval(samples) or (0.0, 0.0)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert interval([np.nan, np.nan]) is None


def test_two_ways_are_wider_than_one() -> None:
    """Values that depend on the target alone: 200 rows, but only four independent ones."""
    rng = np.random.default_rng(2)
    people, targets = np.repeat(np.arange(50), 4), np.tile(np.arange(4), 50)
    values = np.array([0.0, 1.0, 2.0, 3.0])[targets]
    spans = []
    for labels in ([people], [people, targets]):
        low, high = interval(weighted_means(values, cluster_weights(labels, 500, rng))) or (0.0, 0.0)
        spans.append(high - low)
    assert spans[0] == pytest.approx(0, abs=1e-9)
    assert spans[1] > 1.0
