"""Means of identity embeddings on the sphere."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import BadInput
from mien.faces.sphere import sphere_mean


def random_faces(count: int, width: int = 512) -> list[np.ndarray]:
    rows = np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)
    return list(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_two_meet_on_the_arc_between_them() -> None:
    """The point of spherical interpolation: sin((1 - t) w) / sin w and sin(t w) / sin w."""
    one, other = random_faces(2)
    angle, share = np.arccos(one @ other), 0.3
    expected = (np.sin((1 - share) * angle) * one + np.sin(share * angle) * other) / np.sin(angle)
    np.testing.assert_allclose(sphere_mean([one, other], [0.7, 0.3]), expected, atol=1e-6)


def test_the_mean_has_norm_one_and_no_first_order_gain() -> None:
    faces = random_faces(5)
    mean = sphere_mean(faces)
    assert abs(np.linalg.norm(mean) - 1) < 1e-6
    assert mean.dtype == np.float32

    def cost(point: np.ndarray) -> float:
        return float(sum(np.arccos(np.clip(point @ face, -1, 1)) ** 2 for face in np.asarray(faces, np.float64)))

    for direction in random_faces(8):
        moved = mean.astype(np.float64) + 1e-3 * direction
        assert cost(moved / np.linalg.norm(moved)) > cost(mean.astype(np.float64) / np.linalg.norm(mean)) - 1e-9


def test_one_picture_stays_bit_equal_and_copies_change_nothing() -> None:
    (face,) = random_faces(1)
    assert sphere_mean([face], [0.4]) is face
    np.testing.assert_allclose(sphere_mean([face, face]), face, atol=1e-6)


def test_opposite_faces_have_no_mean() -> None:
    (face,) = random_faces(1)
    with pytest.raises(BadInput, match="opposite"):
        sphere_mean([face, -face])
