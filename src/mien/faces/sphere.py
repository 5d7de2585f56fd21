"""Means of identity embeddings: they have L2 norm 1, so a mean of them is taken on the sphere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mien.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUNDS = 20


def sphere_mean(embeddings: Sequence[NDArray[np.float32]], weights: Sequence[float] = ()) -> NDArray[np.float32]:
    """The point whose weighted squared angles to the embeddings are least (Karcher mean).

    Of two it lies on the arc between them, at the share of the second's weight: spherical interpolation.

    Args:
        embeddings: each [D], L2 norm 1.
        weights: one an embedding, positive; all alike if empty.

    Returns:
        [D], L2 norm 1; a single embedding comes back as it is.

    Raises:
        BadInput: if embeddings are opposite to each other, so that there is no mean.
    """
    import numpy as np

    if len(embeddings) == 1:
        return embeddings[0]
    points = np.stack(embeddings).astype(np.float64)
    shares = np.asarray(weights or [1.0] * len(points), np.float64)
    shares = shares / shares.sum()
    mean = shares @ points
    if np.linalg.norm(mean) < 1e-6:
        raise BadInput("These faces are opposite to each other for the identity network: mix other pictures.")
    mean /= np.linalg.norm(mean)
    for _ in range(ROUNDS):
        along = np.clip(points @ mean, -1, 1)
        angles = np.arccos(along)
        away = points - along[:, None] * mean
        step = (shares * angles / np.maximum(np.linalg.norm(away, axis=1), 1e-12)) @ away
        size = np.linalg.norm(step)
        if size < 1e-12:
            break
        mean = np.cos(size) * mean + np.sin(size) * step / size
        mean /= np.linalg.norm(mean)
    return mean.astype(np.float32)
