"""Losses are what they were; what must differ is written anew, see `tests/golden.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mien.data.corpus import Corpus
from tests.golden import assert_golden
from tests.training.small_base import objective

BOUND = 1e-5
"""Ten times the largest difference seen, in the ten steps, between the kernels that `test_golden.py` names."""


def test_losses_of_ten_steps(small_base: Path) -> None:
    made, corpus = objective(small_base), Corpus.load(small_base / "data")
    optimizer = torch.optim.AdamW(made.trained().values(), lr=1e-3)
    losses = []
    for step in range(10):
        batch = made.batch(corpus, np.random.default_rng(step), 4)
        loss, _ = made(batch, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert_golden("base objective", losses, BOUND)
