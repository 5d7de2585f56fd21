from __future__ import annotations

import numpy as np
import pytest

from mien.metrics import expression, identity, pose, transfer


def test_exp_is_the_mean_and_offers_the_sum() -> None:
    reference, generated = np.zeros((2, 52)), np.zeros((2, 52))
    generated[0, 3], generated[1] = 0.52, 0.1
    assert expression.exp_distance(reference, generated) == pytest.approx([0.01, 0.1])
    assert expression.exp_distance(reference, generated, "sum") == pytest.approx([0.52, 5.2])
    with pytest.raises(ValueError, match="52"):
        expression.exp_distance(np.zeros(51), np.zeros(51))


def _face() -> np.ndarray:
    points = np.zeros((478, 3))
    points[33], points[133], points[468] = (10, 50, 0), (30, 50, 0), (18, 50, 9)
    points[145], points[159] = (20, 54, 0), (20, 46, 0)
    points[362], points[263], points[473] = (70, 50, 0), (90, 50, 0), (82, 50, 9)
    points[374], points[386] = (80, 54, 0), (80, 46, 0)
    points[61], points[291], points[0], points[17] = (35, 90, 0), (65, 90, 0), (50, 85, 0), (50, 100, 0)
    return points


def test_lms_by_hand() -> None:
    face = _face()
    assert expression.movement_ratios(face) == pytest.approx([0.4, 0.6, 0.4, 0.4, 0.5])
    wink = face.copy()
    wink[145], wink[159] = (20, 50, 0), (20, 50, 0)
    assert float(expression.lms_distance(face, wink)) == pytest.approx(0.4)
    assert float(expression.lms_distance(face, face * 2.5 + 7)) == pytest.approx(0)
    # normalised coordinates of a wide picture are not pixels: the same face scores as another one
    assert float(expression.lms_distance(face, face / [160, 90, 160])) > 0.3


def test_closed_eye_corners_do_not_divide_by_zero() -> None:
    assert np.isfinite(expression.movement_ratios(np.zeros((478, 2)))).all()


def test_pose_errors_wrap_and_average() -> None:
    reference = np.array([[179.0, 0, 0], [0, 0, 0]])
    generated = np.array([[-179.0, 3, 0], [0, -3, 4]])
    assert pose.pose_rmse(reference, generated) == pytest.approx([2**0.5, 3, 8**0.5])


def test_cosine_and_top1() -> None:
    assert identity.cosine([3.0, 0.0], [[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]]) == pytest.approx([1, 0, -1])
    gallery = np.eye(3)
    probes = np.array([[0.9, 0.1, 0], [0.6, 0.5, 0], [0, 0.2, 0.8]])
    assert identity.ranks(probes, [0, 1, 2], gallery).tolist() == [0, 1, 0]
    assert identity.top1(probes, [0, 1, 2], gallery) == pytest.approx(2 / 3)
    assert identity.top1(np.ones((3, 3)), [0, 1, 2], np.ones((3, 3))) == 0  # telling nobody apart earns nothing
    people = [7, 7, 9, 9]
    assert identity.top1_accuracy([[1, 0], [0.9, 0.1], [0, 1], [0.8, 0.2]], people) == 0.5


def test_transfer_ends_and_middle() -> None:
    assert transfer.transfer([0.08], [0.08], [0.02]) == pytest.approx(0)
    assert transfer.transfer([0.02], [0.08], [0.02]) == pytest.approx(1)
    assert transfer.transfer([0.04, 0.06], [0.08], [0.02]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="does not see"):
        transfer.transfer([0.1], [0.2], [0.2])
