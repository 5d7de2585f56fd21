"""Colours by name: whose gradient is nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

Gradient = tuple[Sequence[float], Sequence[float]]


def nearest_gradient(colours: ArrayLike, named: Mapping[str, Gradient]) -> list[str]:
    """Name of the gradient that each colour lies nearest to (*ours*).

    A background goes from one colour in the middle to another at the edge, so a corner may show anything between: the
    distance is that to the straight line between the two, in the colours' own space.

    Args:
        colours: [N, 3].
        named: name -> the gradient's two colours, in the same units.
    """
    points = np.asarray(colours, np.float64)
    first, second = (np.array([ends[side] for ends in named.values()], np.float64) for side in (0, 1))
    along = second - first
    length = np.maximum((along * along).sum(-1), 1e-12)
    share = ((points[:, None] - first) * along).sum(-1) / length
    nearest = first + share.clip(0, 1)[..., None] * along
    names = list(named)
    return [names[row] for row in np.linalg.norm(points[:, None] - nearest, axis=-1).argmin(1)]
