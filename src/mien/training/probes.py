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


def probe_tokens(features: np.ndarray, people: np.ndarray, coefficients: np.ndarray) -> dict[str, float]:
    """Linear probes of features [N, D].

    Args:
        features: all tokens of a picture side by side.
        people: [N] labels.
        coefficients: [N, 53] driven coefficients.

    Returns:
        ``probe_identity``: share of the last picture of each person that a linear classifier trained on their others
        gives to the right one. ``probe_expression``: R2 of the coefficients of people that the regression has not seen.
    """
    labels, index = np.unique(people, return_inverse=True)
    last = np.zeros(len(people), bool)
    last[[np.flatnonzero(index == i)[-1] for i in range(len(labels))]] = True
    weights, offset = ridge(features[~last], np.eye(len(labels))[index[~last]])
    hits = (features[last] @ weights + offset).argmax(1) == index[last]
    seen = index < max(1, int(len(labels) * 0.75))
    weights, offset = ridge(features[seen], coefficients[seen], penalty=10.0)
    explained = r_squared(coefficients[~seen], features[~seen] @ weights + offset) if (~seen).any() else float("nan")
    return {"probe_identity": float(hits.mean()), "probe_expression": explained}
