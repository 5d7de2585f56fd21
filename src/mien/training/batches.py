"""Which rows a stage looks at, and pictures as its networks take them."""

from __future__ import annotations

import numpy as np

from mien.pixels import pictures_to_tensor

__all__ = ["pictures_to_tensor", "spread_rows"]


def spread_rows(length: int, count: int) -> np.ndarray:
    """``count`` row numbers spread evenly over ``length`` rows."""
    return np.linspace(0, length - 1, min(count, length)).round().astype(np.int64)
