"""From rows to numbers with intervals: levels and transfer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.control.measures import Distances
from mien.evaluation.control.scene import Pair
from mien.evaluation.statistics.bootstrap import Weights, estimate, resamples, weighted_means
from mien.metrics.transfer import transfer


def pair_weights(pairs: Sequence[Pair], draws: int, seed: int = 0) -> Weights:
    """Weights [1 + draws, N] of the pairs: the first row is all ones (the data themselves), the others resamples."""
    labels = [[pair.person for pair in pairs], [pair.target for pair in pairs]]
    return resamples(labels, draws, np.random.default_rng([seed, 0x626F6F74]))


def summarise(rows: Distances, weights: Weights, squared: bool = False) -> dict[str, Any]:
    """Levels of model, oracle and shuffled, and the transfer, each with its 95 % interval.

    Args:
        rows: one a pair; NaN where no face was found.
        weights: see `pair_weights`.
        squared: rows are squares, levels their root.

    Returns:
        ``n`` rows that count, ``n_failed`` rows without a face in the output (or without a reading of the target),
        ``oracle_failed`` the same among the exact renders; ``transfer`` over the rows that count, and
        ``transfer_all`` with each failed row as one without any control.
    """
    levels = levels_of(rows, weights, squared)
    failed = np.isnan(rows.model)
    carried = transfers(levels)
    found = weights @ (~failed).astype(np.float64) / np.maximum(weights.sum(1), 1.0)
    power = 2 if squared else 1  # means are taken before the root
    spoilt = (found * levels["model"] ** power + (1 - found) * levels["shuffled"] ** power) ** (1 / power)
    return {
        **{name: estimate(values) for name, values in levels.items()},
        "transfer": estimate(carried),
        "transfer_all": estimate(transfers(levels | {"model": spoilt})),
        "n": int((~failed).sum()),
        "n_failed": int(failed.sum()),
        "oracle_failed": int(np.isnan(rows.oracle).sum()),
    }


def levels_of(rows: Distances, weights: Weights, squared: bool = False) -> dict[str, NDArray[np.float64]]:
    """Levels of model, oracle and shuffled, each [1 + draws]; arguments as for `summarise`."""
    levels = {name: weighted_means(getattr(rows, name), weights) for name in ("model", "oracle", "shuffled")}
    return {name: np.sqrt(values) for name, values in levels.items()} if squared else levels


def transfers(levels: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Transfer of every draw; NaN where the measure does not see the control, or nothing was found."""
    found = np.full(len(levels["model"]), np.nan)
    for draw, (model, oracle, none) in enumerate(zip(*levels.values(), strict=True)):
        if np.isfinite([model, oracle, none]).all() and none != oracle:
            found[draw] = transfer(model, none, oracle)
    return found
