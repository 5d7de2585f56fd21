from __future__ import annotations

import math

import pytest
import torch

from mien.training.contrast import symmetric_cross_entropy


def test_it_is_log_b_where_nothing_is_known_and_zero_where_all_is() -> None:
    assert symmetric_cross_entropy(torch.zeros(5, 5)).item() == pytest.approx(math.log(5))
    assert symmetric_cross_entropy(100 * torch.eye(5)).item() == pytest.approx(0.0, abs=1e-6)


def test_rows_and_columns_count_alike() -> None:
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = symmetric_cross_entropy(logits)
    torch.testing.assert_close(loss, symmetric_cross_entropy(logits.T))
    loss.backward()
    assert logits.grad is not None and (logits.grad.diagonal() < 0).all()
