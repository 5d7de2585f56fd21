"""Identity: the identity judge against galleries, and the similarity to the person whose expression was taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.control.measures import Distances
from mien.evaluation.control.scene import Pair
from mien.evaluation.control.summary import summarise
from mien.evaluation.readings.arrays import whole_rows
from mien.evaluation.statistics.bootstrap import Weights, estimate, weighted_means

Floats = NDArray[Any]


def likeness(
    outputs: Floats, exact: Floats, gallery: Floats, owners: Sequence[int], weights: Weights
) -> dict[str, Any]:
    """Cosine to the right person, and how often that person comes first.

    Args:
        outputs: embeddings [N, D] of the model's pictures; NaN rows where no face was found.
        exact: embeddings [N, D] of the exact renders.
        gallery: [P, D], one a person.
        owners: [N] row of the gallery that each output should be nearest to.
        weights: see `summary.pair_weights`.

    Returns:
        ``cosine``: as `summarise`, with ``shuffled`` the mean cosine to all other people (the impostor's floor);
        ``top1``: model, oracle, chance, and ``of_oracle`` = model / oracle. A picture without a face, and a tie,
        count as not first.
    """
    own = np.asarray(owners)
    shares = _shares(lambda rows: first_rows(rows, gallery, own), outputs, exact, weights)
    return {
        "cosine": summarise(cosine_rows(outputs, exact, gallery, own), weights),
        "top1": {
            **{name: estimate(values) for name, values in shares.items()},
            "chance": round(1 / len(gallery), 5),
            "n": len(own),
            "n_failed": int(np.isnan(outputs[:, 0]).sum()),
            "oracle_failed": int(np.isnan(exact[:, 0]).sum()),
        },
    }


def look_alike_top1(
    outputs: Floats, exact: Floats, gallery: Floats, decoys: Floats, owners: Sequence[int], weights: Weights
) -> dict[str, Any]:
    """How often the right person is nearer than all of their look-alikes.

    Args:
        outputs: as in `likeness`.
        exact: as in `likeness`.
        gallery: [P, D].
        decoys: [P, K, D], same skin, hair and glasses, another face shape.
        owners: as in `likeness`.
        weights: as in `likeness`.
    """
    own = np.asarray(owners)
    shares = _shares(lambda rows: _nearer(rows, gallery[own], decoys[own]), outputs, exact, weights)
    return {
        **{name: estimate(values) for name, values in shares.items()},
        "chance": round(1 / (decoys.shape[1] + 1), 5),
        "decoys": decoys.shape[1],
        "n": len(own),
    }


def donor_leak(
    outputs: Floats, exact: Floats, donors: Floats, gallery: Floats, pairs: Sequence[Pair], weights: Weights
) -> dict[str, Any]:
    """How much outputs look like the person whose expression they took.

    Args:
        outputs: as in `likeness`.
        exact: as in `likeness`.
        donors: [T, D], the targets' people.
        gallery: as in `likeness`.
        pairs: N pairs.
        weights: as in `likeness`.

    Returns:
        Cosines to the own donor (``model``, ``oracle``) and to all other donors (``shuffled``), and ``leak`` =
        (model - shuffled) / (an exact render's cosine to its own person - shuffled): 0 is none, 1 is the donor.
    """
    rows = cosine_rows(outputs, exact, donors, np.array([pair.target for pair in pairs]))
    own = np.einsum("nd,nd->n", exact, gallery[[pair.person for pair in pairs]])
    model, none, ceiling = (weighted_means(values, weights) for values in (rows.model, rows.shuffled, own))
    summary = summarise(rows, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        leak = estimate((model - none) / (ceiling - none))
    kept = ("model", "oracle", "shuffled", "n", "n_failed", "oracle_failed")
    return {name: summary[name] for name in kept} | {"leak": leak}


def cosine_rows(outputs: Floats, exact: Floats, gallery: Floats, own: NDArray[Any]) -> Distances:
    """Cosines in the place of distances: the formula of transfer is the same with both signs turned."""
    table = np.asarray(outputs @ gallery.T, np.float64)
    rows = np.arange(len(own))
    model = table[rows, own]
    others = (table.sum(1) - model) / (len(gallery) - 1)
    return Distances(model, np.einsum("nd,nd->n", exact, gallery[own]).astype(np.float64), others)


def _shares(
    hits: Callable[[Floats], NDArray[np.float64]], outputs: Floats, exact: Floats, weights: Weights
) -> dict[str, Any]:
    """Weighted mean of the hits [N] among the model's pictures and among the exact renders, and one over the other."""
    model, oracle = (weighted_means(hits(rows), weights) for rows in (outputs, exact))
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"model": model, "oracle": oracle, "of_oracle": model / oracle}


def _nearer(probes: Floats, right: Floats, others: Floats) -> NDArray[np.float64]:
    """1 where a probe [N, D] is nearer to ``right`` [N, D] than to all of ``others`` [N, K, D], else 0; [N]."""
    cosine = np.einsum("nd,nd->n", probes, right)
    with np.errstate(invalid="ignore"):
        return (cosine[:, None] > np.einsum("nd,nkd->nk", probes, others)).all(1).astype(np.float64)


def first_rows(probes: Floats, gallery: Floats, own: NDArray[Any]) -> NDArray[np.float64]:
    """1 where the right person is nearest, else 0; [N]."""
    from mien.metrics.identity import ranks

    there = whole_rows(probes)
    found = np.zeros(len(own))
    if there.any():
        found[there] = ranks(probes[there], own[there], gallery) == 0
    return found
