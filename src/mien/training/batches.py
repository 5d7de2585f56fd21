"""Small helpers between arrays and tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def pictures_to_tensor(images: np.ndarray) -> Tensor:
    """uint8 [N, H, W, 3] -> float [N, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def tensor_to_pictures(tensor: Tensor) -> np.ndarray:
    """Float [N, 3, H, W] in [-1, 1] -> uint8 [N, H, W, 3]."""
    return tensor.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def spread_rows(length: int, count: int) -> np.ndarray:
    """``count`` row numbers spread evenly over ``length`` rows."""
    return np.linspace(0, length - 1, min(count, length)).round().astype(np.int64)
