"""The metrics of the papers' tables beyond Exp and LMS, by hand and against other packages."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mien.evaluation.statistics.bootstrap import resamples
from mien.metrics import distributions, diversity, emotion, groups, leak, parameters
from mien.metrics.declared import METRICS


def test_valence_and_arousal_are_root_mean_squares() -> None:
    assert emotion.circumplex_rmse([[0, 0], [0, 0]], [[0.3, 0], [0.4, 1]]) == pytest.approx([0.125**0.5, 0.5**0.5])


def test_the_two_readings_of_dist_rmse() -> None:
    one, other = np.eye(8)[0], np.eye(8)[3]
    assert float(emotion.distribution_distance(one, other)) == pytest.approx(2**0.5)
    assert float(emotion.distribution_distance(one, other, "rmse")) == pytest.approx(0.5)  # the most it can be
    random = np.random.default_rng(0).dirichlet(np.ones(8), (50, 2))
    assert emotion.distribution_distance(random[:, 0], random[:, 1], "rmse").max() <= 0.5
    with pytest.raises(ValueError, match="softmax"):
        emotion.distribution_distance(one, [3.0] * 8)


def test_class_accuracy_counts_the_most_likely() -> None:
    truth = np.eye(8)[[0, 1, 2]]
    assert emotion.same_class(truth, np.eye(8)[[0, 2, 2]]).mean() == pytest.approx(2 / 3)


def test_parameters_by_norm_and_by_root_mean_square() -> None:
    assert float(parameters.parameter_distance(np.zeros(50), np.ones(50))) == pytest.approx(50**0.5)
    assert float(parameters.parameter_distance(np.zeros(50), np.ones(50), "rmse")) == pytest.approx(1)
    # random pairs of 50 coefficients of order 1 lie near the paper's 7 only under the norm
    pairs = np.random.default_rng(0).normal(0, 0.7, (2, 500, 50))
    assert parameters.parameter_distance(*pairs).mean() == pytest.approx(7, abs=0.3)
    with pytest.raises(ValueError, match="53"):
        parameters.parameter_distance(np.zeros(50), np.zeros(53))


def test_identity_std_and_pairwise_diversity() -> None:
    two = np.array([[[0.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, 4.0]]])
    assert diversity.mean_identity_std(two) == pytest.approx((1 + 2) / 2)
    assert diversity.pairwise(two) == pytest.approx((2 + 4) / 2)
    assert diversity.mean_identity_std(np.ones((3, 8, 5))) == 0
    assert diversity.relative(1.5, 2.0) == 0.75
    with pytest.raises(ValueError, match="2 samples"):
        diversity.mean_identity_std(np.ones((3, 1, 5)))


def test_perceptual_diversity_is_over_all_pairs_of_one_identity() -> None:
    pictures = torch.zeros(1, 3, 3, 4, 4)
    pictures[0, 1] += 1
    pictures[0, 2] += 3
    found = diversity.perceptual(pictures, lambda a, b: (a - b).abs().mean((1, 2, 3)))
    assert found == pytest.approx([(1 + 3 + 2) / 3])


def _features(seed: int, count: int, width: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ np.random.default_rng(9).normal(size=(width, width)) + shift


def test_frechet_distance_of_known_gaussians() -> None:
    # diagonal covariances: |m|^2 + sum (s1 - s2)^2
    rng = np.random.default_rng(0)
    base = rng.normal(size=(400, 3))
    base = (base - base.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(base.T)).T)
    one, two = distributions.Moments.of(base), distributions.Moments.of(base * [1, 2, 3] + [1, 0, 2])
    assert distributions.frechet_distance(one, two) == pytest.approx(1 + 4 + 0 + 1 + 4)
    assert distributions.frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_agrees_with_pytorch_fid_and_torchmetrics() -> None:
    from scipy.linalg import sqrtm
    from torchmetrics.image.fid import _compute_fid

    a, b = _features(1, 300, 24), _features(2, 250, 24, 0.5)
    ours = distributions.frechet_distance(distributions.Moments.of(a), distributions.Moments.of(b))
    m1, m2, c1, c2 = a.mean(0), b.mean(0), np.cov(a.T), np.cov(b.T)
    # pytorch_fid.fid_score.calculate_frechet_distance
    theirs = (m1 - m2) @ (m1 - m2) + np.trace(c1) + np.trace(c2) - 2 * np.trace(np.real(sqrtm(c1 @ c2)))
    assert ours == pytest.approx(theirs, rel=1e-8)
    tensors = [torch.from_numpy(x) for x in (m1, c1, m2, c2)]
    assert ours == pytest.approx(float(_compute_fid(*tensors)), rel=1e-6)


def test_fewer_pictures_than_features_still_give_a_number() -> None:
    a, b = _features(1, 10, 24), _features(2, 12, 24)
    assert np.isfinite(distributions.frechet_distance(distributions.Moments.of(a), distributions.Moments.of(b)))
    with pytest.raises(ValueError, match="two pictures"):
        distributions.frechet_distance(distributions.Moments.of(a[:1]), distributions.Moments.of(b))


def test_moments_of_parts_are_the_moments_of_the_whole() -> None:
    values = _features(3, 100, 6, 5.0)
    parts = distributions.Moments.of(values[:30]) + distributions.Moments.of(values[30:31])
    parts += distributions.Moments.of(values[31:])
    np.testing.assert_allclose(parts.covariance, np.cov(values.T), rtol=1e-10)
    np.testing.assert_allclose(parts.mean, values.mean(0), rtol=1e-12)


def test_kid_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.kid import poly_mmd

    a, b = _features(1, 80, 16), _features(2, 80, 16, 0.3)
    theirs = float(poly_mmd(torch.from_numpy(a), torch.from_numpy(b)))
    assert distributions.kernel_distance(a, b) == pytest.approx(theirs, rel=1e-9)


def test_kid_of_resamples_counts_pictures_as_often_as_they_were_drawn() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)) + 0.3
    weights = np.array([np.ones(6), [2, 0, 1, 1, 0, 2]])
    plain, drawn = distributions.kernel_distances(x, y, weights)
    assert plain == pytest.approx(distributions.kernel_distance(x, y))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 3 + 1) ** 3)

    rows = np.repeat(np.arange(6), weights[1].astype(int))
    pairs = [(i, j) for i in rows for j in rows]
    within = [np.mean([kernel(v[i], v[j]) for i, j in pairs if i != j]) for v in (x, y)]
    assert drawn == pytest.approx(sum(within) - 2 * np.mean([kernel(x[i], y[j]) for i, j in pairs]))
    uneven = distributions.kernel_distances(x, y[:4], weights)
    assert uneven[0] == pytest.approx(distributions.kernel_distance(x, y[:4]))


def test_kid_leaves_out_pairs_that_show_the_same_person_or_target() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)) + 0.3
    labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [2, 0]])
    weights = np.array([np.ones(6), [2, 0, 1, 1, 0, 2]])
    told = distributions.kernel_distances(x, y, weights, units=(labels, labels))
    free = [(i, j) for i in range(6) for j in range(6) if (labels[i] != labels[j]).all()]
    for counts, one in zip(weights, told, strict=True):
        w = np.array([counts[i] * counts[j] for i, j in free])
        means = [w @ [(a[i] @ b[j] / 3 + 1) ** 3 for i, j in free] / w.sum() for a, b in ((x, x), (y, y), (x, y))]
        assert one == pytest.approx(means[0] + means[1] - 2 * means[2])
    apart = labels + 10  # other people and targets: every pair of the two sets counts
    other = distributions.kernel_distances(x, y, weights, units=(labels, apart))
    assert np.abs(other - told).min() > 1e-6
    nobody = distributions.kernel_distances(x, y, weights, units=(np.zeros((6, 1)), np.ones((6, 1))))
    assert np.isnan(nobody).all()


def test_kid_of_clusters_is_unbiased_and_within_its_own_interval() -> None:
    people, each, inside, values = 20, 6, 0, []
    owners = np.repeat(np.arange(people), each)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        real, seen = (rng.normal(size=(people, 8))[owners] + 0.3 * rng.normal(size=(len(owners), 8)) for _ in range(2))
        weights = resamples([owners], 200, rng)
        draws = distributions.kernel_distances(real, seen, weights, units=(owners[:, None], owners[:, None] + people))
        low, high = np.quantile(draws[1:], [0.025, 0.975])
        inside += bool(low <= draws[0] <= high)
        values.append(draws[0])
    assert inside == 12
    assert abs(np.mean(values)) < 3 * np.std(values) / 12**0.5


def test_kid_is_unbiased_where_the_frechet_distance_is_not() -> None:
    kid, frechet = [], []
    for seed in range(20):
        a, b = (np.random.default_rng([seed, side]).normal(size=(40, 16)) for side in (0, 1))
        kid.append(distributions.kernel_distance(a, b))
        frechet.append(distributions.frechet_distance(distributions.Moments.of(a), distributions.Moments.of(b)))
    assert abs(np.mean(kid)) < 3 * np.std(kid) / 20**0.5
    assert min(frechet) > 1


def test_leak_is_one_for_the_template_and_minus_one_for_the_wanted() -> None:
    wanted, template = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    assert leak.leak(template, wanted, template) == pytest.approx(1)
    assert leak.leak(wanted, wanted, template) == pytest.approx(-1)
    assert leak.leak([1.0, 1.0, 0], wanted, template) == pytest.approx(0)
    assert leak.leak([0, 0, 1.0], wanted, template) == pytest.approx(0)  # a stranger to both
    assert np.isnan(leak.leak(template, wanted, wanted))


def test_groups_are_held_against_their_own_oracle() -> None:
    labels = np.repeat(["a", "b", "c"], [30, 30, 5])
    oracle = np.where(labels == "b", 0.3, 0.1)  # the reader is worse on b
    model = oracle + np.where(labels == "a", 0.2, 0.25)
    model[0] = np.nan
    found = groups.by_group(model, oracle, labels)
    assert found == pytest.approx({"a": 0.2, "b": 0.25})
    assert groups.worst_group_gap(found) == pytest.approx(0.05)
    assert np.isnan(groups.worst_group_gap({"a": 1.0}))


def test_every_declared_metric_says_what_it_is() -> None:
    for name, one in METRICS.items():
        assert one.meaning.endswith(".") and one.minimum >= 1 and one.unit, name
        assert one.low is None or one.high is None or one.low < one.high, name
