"""Identity: cosine similarity of embeddings, and finding a person among many."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def cosine(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Cosine similarity of embeddings [..., D] -> [...]; higher is better, 1 is the same.

    Example:
        >>> from mien.metrics.identity import cosine
        >>> cosine([3.0, 0.0], [[1.0, 0.0], [0.0, 2.0]]).tolist()
        [1.0, 0.0]
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.sum(a * b, axis=-1) / np.maximum(norms, 1e-12)


def ranks(probes: ArrayLike, owners: ArrayLike, gallery: ArrayLike) -> NDArray[np.intp]:
    """Place (0 is first) of the right person in the gallery for each probe.

    Args:
        probes: [N, D] embeddings.
        owners: [N] row of the gallery each probe should find.
        gallery: [P, D] embeddings, one a person.

    Example:
        >>> from mien.metrics.identity import ranks
        >>> ranks([[0.9, 0.1], [0.9, 0.1]], owners=[0, 1], gallery=[[1.0, 0.0], [0.0, 1.0]]).tolist()
        [0, 1]
    """
    p, g = (np.asarray(x, np.float64) for x in (probes, gallery))
    p, g = (x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12) for x in (p, g))
    scores = p @ g.T
    own = np.take_along_axis(scores, np.asarray(owners)[:, None], axis=1)
    # a tie counts against the probe, so that constant embeddings score nothing
    return (scores >= own).sum(axis=1) - 1


def top1(probes: ArrayLike, owners: ArrayLike, gallery: ArrayLike) -> float:
    """Share of probes whose nearest neighbour in the gallery is the right person; arguments as ``ranks``.

    Example:
        >>> from mien.metrics.identity import top1
        >>> top1([[0.9, 0.1], [0.9, 0.1]], owners=[0, 1], gallery=[[1.0, 0.0], [0.0, 1.0]])
        0.5
    """
    return float((ranks(probes, owners, gallery) == 0).mean())


def top1_accuracy(embeddings: ArrayLike, people: ArrayLike) -> float:
    """``top1`` with the first picture of each person as gallery and all their others as probes.

    Args:
        embeddings: [N, D].
        people: [N] any labels; each person needs at least two pictures to count as probe.

    Example:
        >>> from mien.metrics.identity import top1_accuracy
        >>> top1_accuracy([[1, 0], [0.9, 0.1], [0, 1], [0.8, 0.2]], ["Ada", "Ada", "Bo", "Bo"])
        0.5
    """
    vectors = np.asarray(embeddings)
    _, first, index = np.unique(np.asarray(people), return_index=True, return_inverse=True)
    probe = np.ones(len(vectors), bool)
    probe[first] = False
    return top1(vectors[probe], index[probe], vectors[first])
