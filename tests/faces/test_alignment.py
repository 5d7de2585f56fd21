from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image

from mien.faces import alignment as al


def _points(seed: int = 0, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 478, 3, generator=generator) * 18 + torch.tensor([64.0, 55.0, 0.0])


def test_similarity_recovers_a_known_transform() -> None:
    source = _points()[:, :5, :2]
    angle, scale = math.radians(25), 1.7
    linear = scale * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    target = source @ linear.T + torch.tensor([3.0, -8.0])
    matrix = al.similarity(source, target)
    torch.testing.assert_close(matrix[..., :2], linear.expand(2, 2, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(al.transform_points(matrix, source), target, atol=1e-3, rtol=0)


def test_there_and_back_and_composition() -> None:
    points = _points()
    first, second = al.studio_matrix(points), al.arcface_matrix(points)
    torch.testing.assert_close(al.transform_points(al.invert(first), al.transform_points(first, points)), points)
    both = al.transform_points(al.compose(second, first), points)
    torch.testing.assert_close(
        both, al.transform_points(second, al.transform_points(first, points)), atol=1e-3, rtol=1e-4
    )


def test_warp_with_the_identity_returns_the_picture() -> None:
    picture = torch.rand(1, 3, 40, 40)
    matrix = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])
    torch.testing.assert_close(al.warp(picture, matrix, 40), picture, atol=1e-5, rtol=0)
    moved = al.warp(picture, torch.tensor([[[1.0, 0, 3], [0, 1.0, -2]]]), 40)
    torch.testing.assert_close(moved[..., :38, 3:], picture[..., 2:, :37], atol=1e-5, rtol=0)


def test_warp_moves_pixels_where_it_moves_points() -> None:
    picture = torch.zeros(1, 1, 128, 200)
    picture[0, 0, 30:33, 120:123] = 1.0  # its centre is (121.5, 31.5)
    matrix = al.similarity(torch.tensor([[[121.5, 31.5], [150.0, 60.0]]]), torch.tensor([[[40.0, 70.0], [80.0, 40.0]]]))
    crop = al.warp(picture, matrix, 96)[0, 0]
    y, x = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    centre = [(crop * axis).sum() / crop.sum() for axis in (x, y)]
    assert abs(centre[0] - 40) < 0.1
    assert abs(centre[1] - 70) < 0.1


def test_coordinates_are_exact_under_autocast() -> None:
    points = _points()
    exact = al.transform_points(al.arcface_matrix(points), points)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(al.transform_points(al.arcface_matrix(points), points), exact)


def test_aligned_points_lie_on_the_template() -> None:
    landmarks = torch.zeros(1, 478, 3)
    template = torch.tensor(al.ARCFACE_TEMPLATE) * 3 + 20
    for index, point in {33: 0, 133: 0, 263: 1, 362: 1, 1: 2, 61: 3, 291: 4}.items():
        landmarks[0, index, :2] = template[point]
    moved = al.transform_points(al.arcface_matrix(landmarks, 112), al.five_points(landmarks))
    torch.testing.assert_close(moved[0], torch.tensor(al.ARCFACE_TEMPLATE), atol=1e-3, rtol=0)


def test_studio_frame_puts_the_face_at_its_place_and_size() -> None:
    points = _points() * 3.3 + 40
    place = al.face_place(al.transform_points(al.studio_matrix(points), points)) / 128
    expected = torch.tensor([*al.STUDIO_CENTRE, al.STUDIO_RADIUS]).expand(2, 3)
    torch.testing.assert_close(place, expected, atol=1e-4, rtol=0)


def test_shrinking_a_photograph_is_antialiased() -> None:
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.1, 0.0]])
    crop = np.asarray(al.crop_picture(Image.fromarray(stripes), matrix, 96))
    assert np.abs(crop.astype(int) - 127).max() < 12


def test_studio_crop_carries_the_landmarks_along() -> None:
    points = _points(1, 1)[0].numpy() * 4
    crop, moved, matrix = al.studio_crop(Image.new("RGB", (600, 500)), points)
    assert crop.size == (128, 128)
    back = al.transform_points(al.invert(matrix), torch.from_numpy(moved))
    np.testing.assert_allclose(back.numpy(), points, atol=2e-3)


def test_crops_are_filtered_by_their_own_scale_whatever_is_beside_them() -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (11, 90, 90, 3), dtype=np.uint8))  # more than are taken at a time
    scales = torch.from_numpy(rng.uniform(0.15, 1.5, (11, 2))).float()
    matrices = torch.eye(2) * scales[..., None, None] * torch.tensor([[[-1.0], [1.0]]])  # mirrored, as in training
    matrices = torch.cat([matrices, torch.tensor([[30.0], [1.0]]).expand(11, 2, 2, 1)], -1)
    crops = al.filtered_crops(images, matrices, 24)
    assert crops.shape == (11, 2, 3, 24, 24)
    for index, one in enumerate(matrices):
        picture = images[index : index + 1].permute(0, 3, 1, 2) / 127.5 - 1
        wanted = torch.cat([al.warp_filtered(picture, matrix[None], 24) for matrix in one])
        torch.testing.assert_close(crops[index], wanted, rtol=0, atol=1e-5)  # sums of 0 to 255 instead of -1 to 1
