"""Groups of skin, age and gender, each compared with its own exact renders.

A reader that sees less on dark skin, or a judge that knows old faces less well, sees as little in the exact renders:
what a model loses against those is the model's. Of every measure the report has each group's level, what share of its
oracle that is, and how far the group is behind the mean of the groups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.baselines import baseline_runs
from mien.evaluation.control.folders import sized
from mien.evaluation.control.headline import nearest_to_own
from mien.evaluation.control.likeness import cosine_rows, first_rows
from mien.evaluation.control.measures import Distances, nearness
from mien.evaluation.control.people import GROUPINGS, choose_people, labels_of
from mien.evaluation.control.run import Benchmark, ModelRun, control_rows, gallery, run_model, set_up
from mien.evaluation.control.scene import Pair
from mien.evaluation.control.settings import DEFAULT_CONDITIONS, ControlSettings
from mien.evaluation.control.summary import levels_of, transfers
from mien.evaluation.outside import same_word
from mien.evaluation.protocols.base import EvaluationRun, Protocol, Report
from mien.evaluation.readings.arrays import Readings
from mien.evaluation.report.assemble import assembled, baseline_report
from mien.evaluation.report.cases import control_cases
from mien.evaluation.statistics.bootstrap import Weights, estimate, weighted_means
from mien.evaluation.statistics.scores import Comparable, Draws, Score, finite, quotient
from mien.metrics.groups import behind_mean

BOUND = 0.1
"""The worst group is to be no further behind the mean of the groups than this share of it."""


@dataclass(frozen=True, eq=False)
class Standing:
    """One measure of one model, which can be taken under any weights of the pictures.

    Attributes:
        name: its name in the report.
        levels: weights [D, N] -> (model [D], exact renders [D], relative [D]); ``relative`` is 0 for no control where
            the measure is a transfer, and 1 for the exact renders.
        counted: pictures that count, bool [N]; the others failed.
    """

    name: str
    levels: Callable[[Weights], tuple[Draws, Draws, Draws]]
    counted: NDArray[np.bool_]


class FairnessProtocol(Protocol):
    """The control protocol on people chosen so that groups of skin, age and gender are balanced."""

    def run(self, run: EvaluationRun) -> Report:
        """Run the control protocol on people who were chosen for it.

        Args:
            run: ``settings.people`` is the least number in every group.

        Returns:
            A report whose ``groups`` count people; each model's ``fairness`` has for each measure and grouping
            ``groups`` (model, oracle, relative and behind of each), the group that is ``worst``, its ``shortfall``
            with the interval, ``by_chance`` (shortfall of the worst of groups assigned at random: mean, and the
            bound of 95 %), and whether it ``holds``. Also among the metrics, over everybody, and as
            ``MEASURE.shortfall.GROUPING``.
        """
        first, bar, least = run.first, run.bar, run.settings.people
        chosen = choose_people(least, range(run.settings.first_person, run.settings.first_target))
        settings = replace(run.settings, people=len(chosen))
        stage = set_up(settings, first, run.folder, bar, chosen)
        shown = gallery(first, stage.people)
        done: dict[str, ModelRun] = {}
        scores: dict[str, dict[str, Comparable]] = {}
        models: dict[str, dict[str, Any]] = {}
        for name, (asked, tools) in run.models.items():
            with run.part():
                done[name] = run_model(stage, sized(asked, stage.people, stage.wanted), tools, bar)
                fair, scores[name] = _fairness(standings(stage, done[name].outputs, first, shown), stage)
                models[name] = {"made_with": done[name].made_with, "fairness": fair}
        run.check_whole()
        report = assembled(_title(settings, stage, least), settings, len(stage.pairs), first, models, scores) | {
            "people_a_group": least,
            "bound": BOUND,
            "groups": {
                name: {group: labels.count(group) for group in GROUPINGS[name]}
                for name, labels in labels_of(chosen).items()
            },
            "protocol": self.name,
        }
        report |= baseline_report(
            {
                name: {each.name: _score(each, stage) for each in standings(stage, one.outputs, first, shown)}
                for name, one in baseline_runs(stage, first, bar).items()
            }
        )
        shown_by = f"{first.first_reader}.blendshapes"
        return Report(report, {name: control_cases(one, stage, shown_by) for name, one in done.items()})


FAIRNESS = FairnessProtocol(
    "fairness", "people chosen by skin, age and gender, each group against its own exact renders",
    60, 100, 10, DEFAULT_CONDITIONS,
)  # fmt: skip


def standings(stage: Benchmark, outputs: Readings, tools: EvaluationContext, shown: NDArray[Any]) -> list[Standing]:
    """Faces found, expression, pose, emotion and identity of one model.

    Args:
        stage: the benchmark it was run on.
        outputs: readings of its pictures.
        tools: whose readers and judges are used.
        shown: identity judge's embeddings [P, D] of everybody: one gallery for all groups.
    """
    reader, rows = tools.first_reader, {one.name: (one, rows) for one, rows in control_rows(stage, outputs, tools)}
    owners = np.array([pair.person for pair in stage.pairs])
    found = [_share(f"faces.{reader}", outputs.found(reader), stage.exact.found(reader))]
    if "outside.found" in outputs.values:
        found += _outside(outputs, stage)
    for name in (f"{reader}.exp", "judge.coefficients", "judge.pose"):
        measure, distances = rows[name]
        found.append(_transfer(f"transfer.{name}", distances, measure.squared))
    driven = replace(rows["judge.coefficients"][0], driven=False)
    for name, one in ((f"{reader}.exp", rows[f"{reader}.exp"][0]), ("judge.coefficients", driven)):
        found.append(_transfer(f"nearness.{name}", nearness(one, outputs, stage.exact, stage.pairs)))
    other = rows["judge.emotion_class"][1]
    right = [np.nan_to_num(1 - part, nan=0.0) for part in (other.model, other.oracle)]
    found.append(_share("emotion.accuracy", *right))
    seen, exact = outputs["identity"], stage.exact["identity"]
    found.append(_transfer("transfer.identity.cosine", cosine_rows(seen, exact, shown, owners)))
    found.append(_share("identity.top1", *(first_rows(part, shown, owners) for part in (seen, exact))))
    return found


def _outside(outputs: Readings, stage: Benchmark) -> list[Standing]:
    """What networks from outside say: face found, right person first, the same word as of the exact render."""
    both = (outputs, stage.exact)
    word = "outside.emotion"
    return [
        _share("outside.found", *(part["outside.found"][:, 0] > 0 for part in both)),
        _share("outside.identity", *(nearest_to_own(stage, part, "outside.identity")[0] for part in both)),
        _share(word, *(same_word(part[word], stage.exact[word]) for part in both)),
    ]


def _share(name: str, hits: NDArray[Any], exact: NDArray[Any]) -> Standing:
    """A share of the pictures [N], relative to that of the exact renders [N]; one without a face is a miss."""

    def levels(weights: Weights) -> tuple[Draws, Draws, Draws]:
        model, oracle = (weighted_means(np.asarray(part, np.float64), weights) for part in (hits, exact))
        return model, oracle, quotient(model, oracle)

    return Standing(name, levels, np.ones(len(hits), bool))


def _transfer(name: str, rows: Distances, squared: bool = False) -> Standing:
    def levels(weights: Weights) -> tuple[Draws, Draws, Draws]:
        found = levels_of(rows, weights, squared)
        return found["model"], found["oracle"], transfers(found)

    return Standing(name, levels, np.isfinite(rows.model))


def _score(one: Standing, stage: Benchmark) -> Score:
    """A measure over everybody."""
    return Score(lambda rows: one.levels(stage.weights * rows)[2], one.counted, None, 1.0, "higher")


def _fairness(measured: Sequence[Standing], stage: Benchmark) -> tuple[dict[str, Any], dict[str, Comparable]]:
    """What the report has of all measures, and the same as scores that can be compared between models."""
    labels = labels_of(one.person for one in stage.identities)
    fair: dict[str, Any] = {}
    scores: dict[str, Comparable] = {}
    for one in measured:
        scores[one.name] = _score(one, stage)
        fair[one.name] = {}
        for grouping, labelled in labels.items():
            groups, names = np.array(labelled), GROUPINGS[grouping]
            fair[one.name][grouping], shortfall = _by_group(one, groups, names, stage.pairs, stage.weights)
            scores[f"{one.name}.shortfall.{grouping}"] = Score(shortfall, one.counted, None, 0.0, "lower")
    return fair, scores


def _by_group(
    one: Standing, groups: NDArray[Any], names: Sequence[str], pairs: Sequence[Pair], weights: Weights
) -> tuple[dict[str, Any], Callable[[NDArray[np.bool_]], Draws]]:
    """A measure over the groups of one grouping, and the worst group's shortfall over all resamples.

    Args:
        one: the measure.
        groups: [P] group of each person.
        names: of the groups.
        pairs: of the pictures.
        weights: see `Standing`.

    Returns:
        What the report has, and the shortfall [1 + draws] over those pictures [N] that may count.
    """
    owners = np.array([pair.person for pair in pairs])
    masks = [(groups == name)[owners].astype(np.float64) for name in names]
    levels = [one.levels(weights * mask) for mask in masks]
    behind = behind_mean(np.stack([relative for *_, relative in levels]))
    at = int(np.nan_to_num(behind[:, 0], nan=-np.inf).argmax())
    known = bool(np.isfinite(behind[:, 0]).all())
    drawn = _by_chance(one, groups, names, pairs, len(weights) - 1)
    found = {
        "groups": {
            name: {"model": estimate(model), "oracle": estimate(exact), "relative": estimate(relative),
                   "behind": estimate(behind[row])}
            for row, (name, (model, exact, relative)) in enumerate(zip(names, levels, strict=True))
        },
        "worst": names[at] if known else None,
        "shortfall": estimate(behind[at]),
        "by_chance": {"value": finite(float(np.mean(drawn))), "high": finite(float(np.quantile(drawn, 0.95)))}
        if len(drawn) else None,
        "holds": known and bool(behind[at, 0] <= BOUND),
    }  # fmt: skip

    def shortfall(rows: NDArray[np.bool_]) -> Draws:
        if np.array_equal(rows, one.counted):
            return behind[at]
        return behind_mean(np.stack([one.levels(weights * mask * rows)[2] for mask in masks]))[at]

    return found, shortfall


def _by_chance(
    one: Standing, groups: NDArray[Any], names: Sequence[str], pairs: Sequence[Pair], draws: int
) -> NDArray[np.float64]:
    """Shortfall of the worst group with people assigned to groups at random (null distribution), [up to draws].

    Labels are permuted among people who are shown the same targets, as the groups are.
    """
    rng = np.random.default_rng(0x66616972)
    owners = np.array([pair.person for pair in pairs])
    shown = defaultdict[int, list[int]](list)
    for pair in pairs:
        shown[pair.person].append(pair.target)
    blocks = defaultdict[tuple[int, ...], list[int]](list)
    for person, targets in shown.items():
        blocks[tuple(targets)].append(person)
    drawn = np.tile(groups, (draws, 1))
    for members in blocks.values():
        drawn[:, members] = rng.permuted(drawn[:, members], axis=1)
    drawn = drawn[:, owners]
    worst = behind_mean(np.stack([one.levels((drawn == name).astype(np.float64))[2] for name in names])).max(0)
    return worst[np.isfinite(worst)]


def _title(settings: ControlSettings, stage: Benchmark, least: int) -> str:
    each = settings.pairs_per_person or settings.targets
    return (
        f"{settings.people} held-out studio people, chosen so that {least} or more are in every group of skin, age and "
        f"gender, x {each} of {settings.targets} targets, shared evenly among the groups: {len(stage.pairs)} pictures "
        "of each model. Every number is in units of the exact renders of the same people and targets (1 is as good); "
        "nearness compares a picture with its own exact render, transfer compares both with the target; "
        "shortfall is how far the worst group is behind the mean of the groups. In parentheses: 95 % interval, two-way "
        "cluster bootstrap over people and targets."
    )
