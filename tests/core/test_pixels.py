"""Pictures to networks and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mien.core.pixels import picture_to_tensor, pictures_to_tensor, tensor_to_pictures


def test_there_and_back_is_exact() -> None:
    pictures = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    tensor = pictures_to_tensor(pictures)
    assert tensor.shape == (1, 3, 16, 16) and tensor.dtype == torch.float32
    assert tensor.min() == -1 and tensor.max() == 1 and tensor[0, 0, 0, 1] == pytest.approx(1 / 127.5 - 1)
    np.testing.assert_array_equal(tensor_to_pictures(tensor), pictures)


def test_pil_pictures_and_arrays_are_the_same() -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    both = pictures_to_tensor([Image.fromarray(array), array])
    assert both.shape == (2, 3, 5, 7) and both[0].equal(both[1])
    assert both[1, 2, 4, 6] == pytest.approx(array[4, 6, 2] / 127.5 - 1)


def test_one_picture_has_the_values_and_keeps_its_layout() -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    for one in (picture_to_tensor(array), picture_to_tensor(Image.fromarray(array))):
        assert one.equal(pictures_to_tensor([array]))
        # recorded pictures are repeated bit for bit only from these strides: joined rows lie channel by channel
        assert one.stride() == (3, 1, 21, 3) and torch.cat([one, one]).is_contiguous()
    assert pictures_to_tensor([array, array]).is_contiguous(memory_format=torch.channels_last)


def test_what_lies_outside_is_clamped() -> None:
    assert tensor_to_pictures(torch.tensor([-7.0, 0.001, 7.0]).view(1, 3, 1, 1)).tolist() == [[[[0, 128, 255]]]]
