"""Backgrounds and things in front of faces: where they are put, what stays, and that they repeat."""

from __future__ import annotations

import torch

from mien.training.augmentation import BatchRandom
from mien.training.compositing import cover, darken, replace_background, sharpen

SIZE = 64


def _dice(count: int, seed: int = 0) -> BatchRandom:
    return BatchRandom(count, torch.Generator().manual_seed(seed), torch.device("cpu"))


def _landmarks(count: int) -> torch.Tensor:
    """Points on an oval with the eyes' corners where eyes are."""
    angle = torch.linspace(0, 6.28, 478)
    points = torch.stack([32 + 20 * angle.cos(), 34 + 24 * angle.sin()], -1)[None].repeat(count, 1, 1)
    places = {33: (20, 26), 133: (28, 26), 159: (24, 24), 145: (24, 28), 263: (44, 26), 362: (36, 26),
                         386: (40, 24), 374: (40, 28), 152: (32, 58), 205: (24, 40), 425: (40, 40)}  # fmt: skip
    for index, place in places.items():
        points[:, index] = torch.tensor(place, dtype=torch.float)
    return points


def test_only_the_background_changes() -> None:
    crops, mattes = torch.rand(6, 3, SIZE, SIZE) * 2 - 1, torch.zeros(6, 1, SIZE, SIZE)
    mattes[..., 16:48, 16:48] = 1
    changed = replace_background(crops, mattes, _dice(6), probability=1.0)
    assert torch.equal(changed[..., 16:48, 16:48], crops[..., 16:48, 16:48])
    assert (changed[..., :8, :] - crops[..., :8, :]).abs().mean() > 0.1
    assert changed.abs().max() <= 1
    assert replace_background(crops, mattes, _dice(6), probability=0.0) is crops


def test_covers_lie_on_the_face_and_repeat() -> None:
    crops, landmarks = torch.zeros(64, 3, SIZE, SIZE), _landmarks(64)
    first, again = (cover(crops, landmarks, _dice(64, 3), probability=1.0) for _ in range(2))
    assert torch.equal(first, again)
    touched = (first != 0).any(1)
    assert (touched.flatten(1).any(1)).all()  # with probability 1 each face is covered by something
    assert not touched[:, :10, :10].any() and not touched[:, :10, -10:].any()  # corners are far from any face
    assert torch.equal(crops, torch.zeros_like(crops))  # what is given stays as it is
    assert cover(crops, landmarks, _dice(64), probability=1e-9) is crops


def test_sharpening_and_low_light_keep_the_range() -> None:
    crops = torch.rand(8, 3, SIZE, SIZE) * 2 - 1
    sharp = sharpen(crops, _dice(8), probability=1.0)
    assert sharp.abs().max() <= 1 and sharp.std() > crops.std()
    dark = darken(crops, _dice(8), probability=1.0)
    assert dark.abs().max() <= 1 and dark.mean() < crops.mean() - 0.2
