"""How much of a control arrives: a distance put between no control and the exact render."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def transfer(model: ArrayLike, shuffled: ArrayLike, oracle: ArrayLike) -> float:
    """(shuffled - model) / (shuffled - oracle) of mean distances: 0 is no control, 1 is the oracle; higher is better.

    Args:
        model: distances of the outputs to their own targets.
        shuffled: distances of the same outputs to permuted targets.
        oracle: distances of the exact renders (wanted person, target's coefficients and pose) to their targets.

    Raises:
        ValueError: if shuffled and oracle are equal: the measure cannot tell control from none.

    Example:
        >>> from mien.metrics.transfer import transfer
        >>> round(transfer(model=[0.04, 0.06], shuffled=[0.08], oracle=[0.02]), 6)
        0.5
    """
    level, none, best = (float(np.mean(np.asarray(x, np.float64))) for x in (model, shuffled, oracle))
    if none == best:
        raise ValueError("shuffled and oracle distances are equal: this measure does not see the control")
    return (none - level) / (none - best)
