"""Attributes of the identity that a picture keeps: glasses, the colour of hair, beard, headwear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.control.run import Benchmark
from mien.evaluation.readings.arrays import Readings
from mien.evaluation.statistics.scores import Score, mean_score
from mien.studio.scene import attributes

MEANINGS: Final[Mapping[str, str]] = {
    "attribute.glasses": "Share of pictures in which the attribute judge reads the person's glasses (shape, or none).",
    "attribute.glasses_color": "The same of the colour of their frames.",
    "attribute.hair_color": "The same of the colour of the hair, where headwear does not hide it.",
    "attribute.beard": "The same of the beard.",
    "attribute.headwear": "The same of the headwear.",
}
"""Headline measure -> what it is. People who wear something and people who do not count half each."""
_NONE = "none"


def attribute_scores(stage: Benchmark, outputs: Readings, classes: Mapping[str, Sequence[str]]) -> dict[str, Score]:
    """The measures of `MEANINGS` that the judge has classes for.

    Args:
        stage: with renders, whose people's attributes are known.
        outputs: readings with ``attributes.NAME`` [N, 1], the judge's class.
        classes: of the judge.
    """
    found: dict[str, Score] = {}
    truth = [attributes(one.person, one.picture) for one in stage.identities]
    owners = [pair.person for pair in stage.pairs]
    for measure in MEANINGS:
        name = measure.partition(".")[2]
        if name not in classes:
            continue
        words = np.array([str(truth[owner][name]) for owner in owners])
        wanted = np.array([classes[name].index(word) if word in classes[name] else -1 for word in words])
        shares = _halves(words == _NONE, wanted >= 0)
        hits = (readings[f"attributes.{name}"][:, 0] == wanted for readings in (outputs, stage.exact))
        seen, exact = (np.where(wanted >= 0, hit * shares, np.nan) for hit in hits)
        if np.isfinite(seen).any():
            found[measure] = mean_score(seen, exact, stage.weights, "higher")
    return found


def _halves(without: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights [N] of mean 1 over the known rows, the two groups having half of it each where both are there."""
    groups = [group for group in (without & known, ~without & known) if group.any()]
    weights = np.zeros(len(known))
    for group in groups:
        weights[group] = known.sum() / (len(groups) * group.sum())
    return weights
