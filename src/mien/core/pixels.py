"""Pictures as networks take them, and back: uint8 on one side, float in [-1, 1] on the other.

Convolutions choose their arithmetic by the memory layout, so the strides made here are part of what bits depend on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image


def pictures_to_tensor(pictures: NDArray[np.uint8] | Tensor | Sequence[Any]) -> Tensor:
    """uint8 [N, H, W, 3], or N pictures of one size (PIL or uint8 [H, W, 3]) -> float32 [N, 3, H, W] in [-1, 1]."""
    if not isinstance(pictures, Tensor):
        if not isinstance(pictures, np.ndarray):
            pictures = np.stack([np.asarray(picture) for picture in pictures])
        pictures = torch.from_numpy(np.ascontiguousarray(pictures))
    return pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def picture_to_tensor(picture: Image.Image | NDArray[np.uint8]) -> Tensor:
    """A picture (PIL or uint8 [H, W, 3]) -> float32 [1, 3, H, W] in [-1, 1]; `torch.cat` joins several."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float().div_(127.5).sub_(1)


def tensor_to_pictures(tensor: Tensor) -> NDArray[np.uint8]:
    """Float [N, 3, H, W] in [-1, 1], clamped to it -> uint8 [N, H, W, 3], rounded to the nearest."""
    return tensor.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
