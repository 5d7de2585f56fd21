"""The headline measures: how near pictures come to the exact render of the wanted person.

Nearness is (shuffled - model) / (shuffled - ceiling) of distances to the exact render of the same person and target.
The ceiling is the exact render through the autoencoder: the best that a model which decodes its pictures can do. A
picture without a face counts as no control at all. A copy of the template or of the identity is not the exact render:
it stays below it here, though it may be above a model. In the papers' own Exp, LMS and likeness, which stand beside,
it is the best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.control import attributes
from mien.evaluation.control.baselines import AUTOENCODER, DUMMIES, refused
from mien.evaluation.control.likeness import first_rows
from mien.evaluation.control.measures import Among, Distances, Measure, angles, gaze_angles, nearness, rows_among
from mien.evaluation.control.run import Benchmark
from mien.evaluation.control.summary import levels_of
from mien.evaluation.outside import same_word
from mien.evaluation.readings.arrays import Readings
from mien.evaluation.statistics.bootstrap import Weights, weighted_means
from mien.evaluation.statistics.scores import Comparable, Draws, Score, share_score
from mien.metrics.expression import coefficient_distance, exp_distance
from mien.metrics.gaze import iris_offsets
from mien.metrics.identity import cosine

MEANINGS: Final[Mapping[str, str]] = {
    "nearness.expression": "Nearness of 52 blendshapes, as the first reader reads them.",
    "nearness.expression.judge": "Nearness of the driven coefficients that the face judge can read.",
    "nearness.gaze": "Nearness of the irises' places in the eyes, from the first reader's landmarks.",
    "nearness.gaze.judge": "Nearness of the gaze's two angles, as the gaze judge regresses them.",
    "nearness.pose": "Nearness of the head's three angles, as the first reader reads them.",
    "nearness.identity": "Nearness of the identity judge's embedding; shuffled: other people's exact renders under the "
    "same target.",
    "identity.top1": "Share of pictures nearest to the right person's exact render among those of everybody under the "
    "same target; a picture without a face is a miss.",
    "leak": "(cosine to another picture of the template's person, less that of the exact render) / (the same of the "
    "template itself): 0 is the exact render, 1 a copy of the template.",
    **attributes.MEANINGS,
    "outside.found": "Share of pictures in which a detector from outside finds a face.",
    "outside.identity": "As identity.top1, by the embedding of a recognition network from outside.",
    "outside.emotion": "Share of pictures to which an emotion network from outside gives the same word as to the exact "
    "render; a picture in which its detector finds no face is a miss.",
    "exp": "EmojiDiff's Exp: mean difference of 52 blendshapes to the template's own reading.",
    "lms": "EmojiDiff's LMS: difference of five ratios of landmarks to the template's own.",
    "id": "Cosine of the identity judge's embedding to the identity picture's.",
}
"""Headline measure -> what it is."""


def headline_scores(
    stage: Benchmark,
    outputs: Readings,
    reader: str,
    shown: NDArray[Any],
    donors: NDArray[Any],
    ceiling: Readings,
    classes: Mapping[str, Sequence[str]],
) -> dict[str, Comparable]:
    """The headline measures of one model, except the papers' own.

    Args:
        stage: with exact renders.
        outputs: readings of the model's pictures, a row a pair.
        reader: name of the reader.
        shown: identity judge's embeddings [T, D] of the templates' pictures.
        donors: the same [T, D] of another picture of each template's person.
        ceiling: readings of the exact renders through the autoencoder, or of the exact renders without one.
        classes: of the attribute judge; none without it.
    """
    measured: dict[str, tuple[Measure, Among]] = {
        "nearness.expression": (Measure("", f"{reader}.blendshapes", exp_distance, ""), "person"),
        "nearness.expression.judge": (Measure("", "judge.coefficients", coefficient_distance, ""), "person"),
        "nearness.gaze": (Measure("", f"{reader}.landmarks", _gaze_distance, ""), "person"),
        "nearness.gaze.judge": (Measure("", "judge.gaze", gaze_angles, "", squared=True), "person"),
        "nearness.pose": (Measure("", f"{reader}.pose", angles, "", squared=True), "person"),
        "nearness.identity": (Measure("", "identity", lambda target, seen: 1 - cosine(target, seen), ""), "target"),
    }
    found: dict[str, Comparable] = {}
    for name, (measure, among) in measured.items():
        if measure.part not in outputs.values:  # a model folder without a gaze judge
            continue
        rows, best = (nearness(measure, one, stage.exact, stage.pairs, among) for one in (outputs, ceiling))
        found[name] = nearness_score(rows, best, stage.weights, measure.squared)
    found["identity.top1"] = _top1(stage, outputs, "identity")
    found |= attributes.attribute_scores(stage, outputs, classes)
    if "outside.found" in outputs.values:
        found |= _outside(stage, outputs)
    found["leak"] = _leak(stage, outputs["identity"], shown, donors)
    return found


def headline(
    scores: Mapping[str, Mapping[str, Comparable]], baselines: Mapping[str, Mapping[str, Comparable]]
) -> dict[str, Any]:
    """The headline of a report.

    Args:
        scores: model -> measure of `MEANINGS` -> score.
        baselines: the same of the baselines.

    Returns:
        ``models`` (models and baselines): name -> measure -> value, low, high, n, n_failed; ``refused``: measure ->
        the dummy models that are better on it than the exact render; ``measures``: those that are not refused;
        ``meanings``; ``dummies``: what each dummy model draws.
    """
    without = refused(baselines)
    kept = ("value", "low", "high", "n", "n_failed")
    return {
        "measures": [name for name in MEANINGS if name not in without],
        "refused": without,
        "models": {
            name: {measure: {key: one.as_json()[key] for key in kept} for measure, one in found.items()}
            for name, found in {**scores, **baselines}.items()
        },
        "meanings": dict(MEANINGS),
        "dummies": dict(DUMMIES),
        "ceiling": AUTOENCODER if AUTOENCODER in baselines else "exact",
    }


def nearness_score(rows: Distances, ceiling: Distances, weights: Weights, squared: bool = False) -> Score:
    """Nearness over all pairs, those without a face being no control at all.

    Args:
        rows: of the model, see `mien.evaluation.control.measures.nearness`.
        ceiling: of the exact renders through the autoencoder.
        weights: see `mien.evaluation.control.summary.pair_weights`.
        squared: rows are squares, levels their root.
    """
    best = levels_of(ceiling, weights, squared)["model"]

    def level(counted: NDArray[np.bool_]) -> Draws:
        share = weights @ counted.astype(np.float64) / np.maximum(weights.sum(1), 1.0)
        some = Distances(*(np.where(counted, part, np.nan) for part in (rows.model, rows.oracle, rows.shuffled)))
        levels = levels_of(some, weights, squared)
        with np.errstate(invalid="ignore", divide="ignore"):
            near = (levels["shuffled"] - levels["model"]) / (levels["shuffled"] - best)
        near = np.where(levels["shuffled"] > best, near, np.nan)
        return np.where(share > 0, share * near, 0.0)

    return Score(level, np.isfinite(rows.model) & np.isfinite(rows.shuffled), 0.0, 1.0, "higher")


def _gaze_distance(target: NDArray[Any], seen: NDArray[Any]) -> NDArray[np.float64]:
    return np.abs(iris_offsets(seen) - iris_offsets(target)).mean(-1)


def _outside(stage: Benchmark, outputs: Readings) -> dict[str, Score]:
    """What networks from outside say, see `MEANINGS`."""
    words = same_word(outputs["outside.emotion"], stage.exact["outside.emotion"])
    exact = float(same_word(*[stage.exact["outside.emotion"]] * 2).mean())
    return {
        "outside.found": share_score(
            outputs["outside.found"][:, 0] > 0, stage.weights, None, float((stage.exact["outside.found"] > 0).mean())
        ),
        "outside.identity": _top1(stage, outputs, "outside.identity"),
        "outside.emotion": share_score(words, stage.weights, None, exact),
    }


def _top1(stage: Benchmark, outputs: Readings, part: str) -> Score:
    """See `MEANINGS`."""
    hits, chances = nearest_to_own(stage, outputs, part)
    return share_score(hits, stage.weights, round(float(chances.mean()), 5), 1.0)


def nearest_to_own(stage: Benchmark, outputs: Readings, part: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """1 where a picture is nearest to its own exact render among everybody's under the same target [N]; chance [N].

    Pairs whose target nobody else has count as misses for every model alike.
    """
    seen, exact = outputs[part], stage.exact[part]
    hits, chances = np.zeros(len(stage.pairs)), np.zeros(len(stage.pairs))
    for rows in rows_among(stage.pairs, "target"):
        gallery = np.nan_to_num(exact[rows])
        if len(rows) > 1:
            hits[rows] = first_rows(seen[rows], gallery, np.arange(len(rows)))
            chances[rows] = 1 / len(rows)
    return hits, chances


def _leak(stage: Benchmark, seen: NDArray[Any], shown: NDArray[Any], donors: NDArray[Any]) -> Score:
    """See `MEANINGS`."""
    targets = np.array([pair.target for pair in stage.pairs])
    exact = stage.exact["identity"]
    excess, whole = (cosine(rows, donors[targets]) - cosine(exact, donors[targets]) for rows in (seen, shown[targets]))

    def level(counted: NDArray[np.bool_]) -> Draws:
        parts = (weighted_means(np.where(counted, rows, np.nan), stage.weights) for rows in (excess, whole))
        with np.errstate(invalid="ignore", divide="ignore"):
            above, of = parts
            return np.where(of > 0, above / of, np.nan)

    return Score(level, np.isfinite(excess), None, 0.0, "zero")
