"""FaceCrafter's measures of an emotion's transfer (Tables 1 and 3): valence, arousal, the eight classes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


def circumplex_rmse(reference: ArrayLike, generated: ArrayLike) -> NDArray[np.float64]:
    """V-RMSE and A-RMSE: root mean square error of (valence, arousal) [N, 2] in [-1, 1] -> [2]; lower is better.

    Example:
        >>> from mien.metrics.emotion import circumplex_rmse
        >>> circumplex_rmse([[0.5, 0.5], [0.0, 0.0]], [[0.5, 0.0], [0.0, 0.5]]).tolist()
        [0.0, 0.5]
    """
    a, b = (np.asarray(x, np.float64) for x in (reference, generated))
    return np.sqrt(np.square(a - b).mean(axis=0))


def distribution_distance(
    reference: ArrayLike, generated: ArrayLike, kind: Literal["l2", "rmse"] = "l2"
) -> NDArray[np.float64]:
    """Dist-RMSE: distance of class probabilities [..., C] -> [...]; lower is better.

    FaceCrafter's Table 1 calls its column an RMSE, and prints 0.52 to 0.87 for eight classes. A root mean over the
    classes cannot exceed sqrt(2 / 8) = 0.5: the values fit the norm over the classes, at most sqrt(2), the default.

    Args:
        reference: probabilities that sum to 1.
        generated: the same.
        kind: "l2", the norm over the classes, or "rmse", the root of their mean square.

    Raises:
        ValueError: if a row does not sum to 1 (logits were handed in: EmoNet's output needs a softmax first).

    Example:
        >>> from mien.metrics.emotion import distribution_distance
        >>> round(float(distribution_distance([1.0, 0.0], [0.0, 1.0])), 4)
        1.4142
    """
    a, b = (np.asarray(x, np.float64) for x in (reference, generated))
    for name, rows in (("reference", a), ("generated", b)):
        if not np.allclose(rows.sum(-1), 1, atol=1e-3):
            raise ValueError(f"{name} rows are no probabilities: apply a softmax to logits first")
    squared = np.square(a - b)
    return np.sqrt(squared.sum(-1) if kind == "l2" else squared.mean(-1))


def same_class(reference: ArrayLike, generated: ArrayLike) -> NDArray[np.float64]:
    """1 where the most likely of the classes [..., C] is the same, else 0; its mean is the class accuracy.

    Example:
        >>> from mien.metrics.emotion import same_class
        >>> same_class([[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.7, 0.3]]).tolist()
        [1.0, 0.0]
    """
    return (np.asarray(reference).argmax(-1) == np.asarray(generated).argmax(-1)).astype(np.float64)
