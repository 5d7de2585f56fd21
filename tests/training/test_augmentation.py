from __future__ import annotations

import numpy as np
import torch

from mien.faces.linear.vectors import rotation
from mien.faces.mediapipe import pose_of
from mien.training import augmentation as aug
from mien.training.face_labels import mirror_labels, turn_pose


def _dice(count: int, seed: int = 0) -> aug.BatchRandom:
    return aug.BatchRandom(count, torch.Generator().manual_seed(seed), torch.device("cpu"))


def test_same_generator_same_pictures() -> None:
    pictures = torch.rand(4, 3, 64, 64) * 2 - 1
    first, again = (aug.photograph(pictures, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.abs().max() <= 1
    assert not torch.equal(first, pictures)


def test_fine_steps_of_compression_change_little_and_coarse_ones_make_blocks() -> None:
    pictures = torch.rand(8, 3, 32, 32) * 2 - 1
    out = aug.compress(pictures, _dice(8), 1.0)
    error = (out - pictures).square().mean().sqrt()
    assert 0.003 < error < 0.15


def test_jitter_turns_by_the_angle_it_names() -> None:
    matrix, degrees = aug.jitter_parts(_dice(6), 96, scale=0.1, turn=8.0, shift=0.05)
    angle = torch.rad2deg(torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    torch.testing.assert_close(angle, degrees)


def test_mirror_matrix_swaps_the_edges() -> None:
    matrix = aug.mirror_matrix(torch.tensor([True, False]), 96)
    assert (matrix @ torch.tensor([[0.0], [5.0], [1.0]]))[..., 0].tolist() == [[96.0, 5.0], [0.0, 5.0]]


def test_turned_pose_is_the_pose_of_the_turned_head() -> None:
    poses = torch.tensor([[0.0, 0, 0], [30.0, -12, 7], [-25.0, 18, -4]])
    degrees = torch.tensor([10.0, -15, 20])
    turned = turn_pose(poses, degrees)
    assert turned[0].tolist() == [0, 0, 10] or torch.allclose(turned[0], torch.tensor([0.0, 0, 10]), atol=1e-4)
    for pose, angle, result in zip(poses.tolist(), degrees.tolist(), turned.tolist(), strict=True):
        # turning the picture clockwise is a roll of the camera's frame before everything else
        expected = pose_of(rotation(0.0, 0.0, angle) @ rotation(*pose))
        np.testing.assert_allclose(result, expected, atol=1e-3)


def test_mirrored_labels() -> None:
    labels = {
        "pose": torch.tensor([[10.0, 5, 3], [10.0, 5, 3]]),
        "gaze": torch.tensor([[4.0, 2], [4.0, 2]]),
        "coefficients": torch.eye(53)[:2],  # browDown_L, browDown_R
        "age": torch.tensor([30.0, 40.0]),
    }
    out = mirror_labels(labels, torch.tensor([True, False]))
    assert out["pose"].tolist() == [[-10, 5, -3], [10, 5, 3]]
    assert out["gaze"].tolist() == [[-4, 2], [4, 2]]
    assert out["coefficients"].argmax(1).tolist() == [1, 1]
    assert out["age"].tolist() == [30, 40]
