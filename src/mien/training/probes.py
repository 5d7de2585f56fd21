"""What can be read off tokens by a linear map: who it is, and which expression."""

from __future__ import annotations

import numpy as np


def ridge(inputs: np.ndarray, outputs: np.ndarray, penalty: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression: weights [D, K] and offset [K] with ``inputs @ weights + offset ~ outputs``.

    Args:
        inputs: [N, D].
        outputs: [N, K].
        penalty: on the squared weights, in hundredths of the mean eigenvalue of the smaller of the two Gram matrices.
    """
    mean_in, mean_out = inputs.mean(0), outputs.mean(0)
    x, y = (inputs - mean_in).astype(np.float64), (outputs - mean_out).astype(np.float64)
    wide = x.shape[1] > x.shape[0]  # more columns than rows: the dual form gives the same weights for less
    gram = x @ x.T if wide else x.T @ x
    gram[np.diag_indices_from(gram)] += penalty * np.trace(gram) / len(gram) / 100
    weights = x.T @ np.linalg.solve(gram, y) if wide else np.linalg.solve(gram, x.T @ y)
    return weights, mean_out - mean_in @ weights


def r_squared(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Share of the variance of ``truth`` [N, K] that ``estimate`` explains, pooled over the K columns."""
    rest = np.square(truth - estimate).sum()
    return float(1 - rest / max(np.square(truth - truth.mean(0)).sum(), 1e-12))


def probe_identity(features: np.ndarray, people: np.ndarray) -> float:
    """Share of the last picture of each person that a linear classifier of the others gives to the right one.

    Args:
        features: [N, D], all tokens of a picture side by side.
        people: [N] labels.
    """
    labels, index = np.unique(people, return_inverse=True)
    last = np.zeros(len(people), bool)
    last[[np.flatnonzero(index == i)[-1] for i in range(len(labels))]] = True
    weights, offset = ridge(features[~last], np.eye(len(labels))[index[~last]])
    hits = (features[last] @ weights + offset).argmax(1) == index[last]
    return float(hits.mean())


def probe_expression(known: tuple[np.ndarray, np.ndarray], features: np.ndarray, coefficients: np.ndarray) -> float:
    """R2 of driven coefficients, by a linear regression that has seen other people.

    Args:
        known: features [M, D] and coefficients [M, 53] of the people the regression is fitted to.
        features: [N, D] of others.
        coefficients: [N, 53] of those.
    """
    weights, offset = ridge(*known, penalty=10.0)
    return r_squared(coefficients, features @ weights + offset)
