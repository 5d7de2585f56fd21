from __future__ import annotations

import numpy as np
import pytest
import torch

from mien.training.resident import Resident

VALUES = np.arange(24, dtype=np.float16).reshape(6, 4)
ROWS = np.array([5, 0, 5])


def test_rows_come_as_they_are() -> None:
    found = Resident(VALUES, torch.device("cpu"))[ROWS]
    assert found.dtype == torch.float16
    np.testing.assert_array_equal(found.numpy(), VALUES[ROWS])


@pytest.mark.gpu
@pytest.mark.parametrize("share", [0.25, 0.0])
def test_rows_are_on_the_gpu_whether_the_array_is_or_not(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr("mien.training.resident.SHARE", share)
    found = Resident(VALUES, torch.device("cuda"))[ROWS]
    assert found.is_cuda
    np.testing.assert_array_equal(found.cpu().numpy(), VALUES[ROWS])
