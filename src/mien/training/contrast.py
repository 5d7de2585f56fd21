"""The loss of objectives that match two sets of vectors, row by row."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def symmetric_cross_entropy(logits: Tensor) -> Tensor:
    """Mean cross-entropy of finding the diagonal of logits [B, B] by row and by column (CLIP, Radford et al. 2021)."""
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
