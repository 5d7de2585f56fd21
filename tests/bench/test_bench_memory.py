"""Peak memory is that of the drawing, not of what came before."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mien.bench.memory import forget_peak, peak


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_a_peak_before_is_forgotten() -> None:
    forget_peak("cpu")  # that of the tests before, in this process
    start = peak("cpu")
    held = np.ones(200 << 17)  # 200 MiB
    assert peak("cpu") > start + 150
    del held
    forget_peak("cpu")
    before = peak("cpu")
    assert before < start + 100
    held = np.ones(100 << 17)
    assert peak("cpu") > before + 80
    del held
