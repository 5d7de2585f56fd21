"""Several models on the same people, targets, noise and resamples: levels of each, and differences between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.claims.verdicts import claims_report
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.baselines import AUTOENCODER, EXACT, baseline_runs, refused
from mien.evaluation.control.folders import set_up_folders, sized
from mien.evaluation.control.headline import headline, headline_scores
from mien.evaluation.control.likeness import cosine_rows, first_rows
from mien.evaluation.control.measures import Distances
from mien.evaluation.control.people import labels_of
from mien.evaluation.control.run import (
    Benchmark,
    ModelRun,
    control_rows,
    gallery,
    run_model,
    set_up,
)
from mien.evaluation.control.settings import DEFAULT_CONDITIONS, ControlSettings
from mien.evaluation.control.steer import Floats, active
from mien.evaluation.control.summary import levels_of, transfers
from mien.evaluation.protocols.base import EvaluationRun, Protocol, Report
from mien.evaluation.readings.arrays import Readings
from mien.evaluation.report.assemble import assembled, baseline_report
from mien.evaluation.report.cases import control_cases
from mien.evaluation.statistics.scores import Comparable, Draws, Score, finite, mean_score, set_scores, share_score
from mien.metrics.groups import by_group, worst_group_gap
from mien.metrics.leak import leak


class Comparison(NamedTuple):
    """Several models, compared.

    Attributes:
        data: the report, see `compare`.
        runs: what each model drew.
        benchmark: what they were compared on.
    """

    data: dict[str, Any]
    runs: Mapping[str, ModelRun]
    benchmark: Benchmark


class ControlProtocol(Protocol):
    """Every model draws people with other people's expressions and poses."""

    def run(self, run: EvaluationRun) -> Report:
        """See `compare`; the pictures shown are the best, median and worst by Exp."""
        found = compare(run)
        shown = f"{found.data['readers'][0]}.blendshapes"
        cases = {name: control_cases(one, found.benchmark, shown) for name, one in found.runs.items()}
        return Report(found.data | {"protocol": self.name}, cases)


CONTROL = ControlProtocol(
    "control", "people x other people's expressions and poses (FaceCrafter Table 1)",
    100, 100, 20, DEFAULT_CONDITIONS, "identities and targets",
)  # fmt: skip
EXPRESSION = ControlProtocol(
    "expression", "every person x every expression template (EmojiDiff)",
    40, 20, None, ("identity", "expression"), "identities and targets",
)  # fmt: skip


def compare(run: EvaluationRun) -> Comparison:
    """Run several models on the same people, targets, noise and resamples.

    Args:
        run: with ``identities`` and ``targets``, a user's own pictures stand in the place of renders; without exact
            renders there is no ceiling, no transfer and nothing by group.

    Returns:
        The report has in ``models`` for each model and metric value, low, high (95 %, two-way cluster bootstrap), n,
        n_failed, floor and ceiling; in ``differences``, for each other model, value, low and high of its score minus
        the first's, from the same resamples and over the pictures that count for both; in ``claims`` those of
        `mien.evaluation.claims` that these models can test.
    """
    settings, first, bar = run.settings, run.first, run.bar
    if run.identities is None or run.targets is None:
        stage = set_up(settings, first, run.folder, bar)
    else:
        settings, stage = set_up_folders(settings, first, run.identities, run.targets, run.folder, bar)
    shown, donors = gallery(first, stage.people), gallery(first, stage.donors)
    points = np.stack([look.landmarks for look in stage.people])
    people = first.networks.read([look.image for look in stage.people], points)

    def every_score(one: ModelRun) -> dict[str, Comparable]:
        own = _scores(stage, one, first, shown, donors) | _network_identities(stage, one, people)
        return own | _set_scores(stage, one, first)

    done: dict[str, ModelRun] = {}
    scores: dict[str, dict[str, Comparable]] = {}
    for name, (asked, tools) in run.models.items():
        with run.part():
            done[name] = run_model(stage, sized(asked, stage.people, stage.wanted), tools, bar)
            scores[name] = every_score(done[name])
    run.check_whole()
    made = {
        name: {
            "settings": asked.as_json(),
            "conditions": list(active(asked, tools.kinds)),
            "made_with": done[name].made_with,
            "groups": group_gaps(stage, done[name].outputs, first) if stage.identities else None,
        }
        for name, (asked, tools) in run.models.items()
    }
    title = _title(settings, stage)
    report = {"protocol": "control"} | assembled(title, settings, len(stage.pairs), first, made, scores)
    if stage.identities:
        baselines = baseline_runs(stage, first, bar)
        levels = {name: every_score(one) for name, one in baselines.items()}
        report |= baseline_report(levels)
        ceiling = baselines.get(AUTOENCODER, baselines[EXACT]).outputs
        templates = gallery(first, stage.wanted)
        classes = {} if first.judge_attributes is None else first.judge_attributes.classes

        def summed(
            runs: Mapping[str, ModelRun], metrics: Mapping[str, Mapping[str, Comparable]]
        ) -> dict[str, dict[str, Comparable]]:
            return {
                name: headline_scores(stage, one.outputs, first.first_reader, templates, donors, ceiling, classes)
                | _papers(metrics[name], first.first_reader)
                for name, one in runs.items()
            }

        summed_up, best = summed(done, scores), summed(baselines, levels)
        report["headline"] = headline(summed_up, best)
        both = {name: {**scores[name], **summed_up[name]} for name in scores}
        without = refused({name: {**levels[name], **best[name]} for name in levels})
        report |= claims_report(both, run.command, run.training, without)
    return Comparison(report, done, stage)


def _papers(metrics: Mapping[str, Comparable], reader: str) -> dict[str, Comparable]:
    """The papers' own measures, under their names in the headline."""
    named = {"exp": f"{reader}.exp", "lms": f"{reader}.lms", "id": "identity.cosine"}
    return {name: metrics[metric] for name, metric in named.items() if metric in metrics}


def _title(settings: ControlSettings, stage: Benchmark) -> str:
    who = "held-out studio people" if stage.identities else "people of one's own pictures"
    return (
        f"{settings.people} {who} x {settings.targets} targets, {len(stage.pairs)} pictures of each model on the same "
        "seeds. In parentheses: 95 % interval, two-way cluster bootstrap over people and targets; differences are from "
        "the same resamples."
    )


def group_gaps(stage: Benchmark, outputs: Readings, tools: EvaluationContext) -> dict[str, Any]:
    """Exp by skin, age and gender; `mien.evaluation.protocols.fairness` has people chosen for that question.

    Each group is compared with its own exact renders; ``gap`` is what the worst group has more of than the best, None
    where fewer than two groups have enough pictures.
    """
    labels = labels_of(stage.identities[pair.person].person for pair in stage.pairs)
    measure = f"{tools.first_reader}.exp"
    rows = next(rows for one, rows in control_rows(stage, outputs, tools) if one.name == measure)
    found: dict[str, Any] = {"measure": measure}
    for name, groups in labels.items():
        excess = by_group(rows.model, rows.oracle, groups)
        found[name] = {"excess": {group: finite(value) for group, value in excess.items()},
                       "gap": finite(worst_group_gap(excess))}  # fmt: skip
    return found


def _scores(
    stage: Benchmark, done: ModelRun, tools: EvaluationContext, shown: Floats, donors: Floats
) -> dict[str, Score]:
    """Every metric of one model."""
    found: dict[str, Score] = {}
    for name in tools.readers:
        best = float(stage.exact.found(name).mean()) if stage.identities else None
        found[f"faces.{name}"] = share_score(done.outputs.found(name), stage.weights, None, best)
    for measure, rows in control_rows(stage, done.outputs, tools):
        found |= _levels(measure.name, rows, stage, measure.squared, "lower")
    seen, exact = done.outputs["identity"], stage.exact["identity"]
    alike = _likeness("identity.cosine", "identity.top1", seen, exact, shown, stage)
    top1 = alike.pop("identity.top1")  # last, where readers of reports know it
    owners, targets = (np.array([getattr(pair, of) for pair in stage.pairs]) for of in ("person", "target"))
    leaks, best_leaks = (leak(rows, shown[owners], donors[targets]) for rows in (seen, exact))
    leaked = mean_score(leaks, best_leaks, stage.weights, "lower")
    return found | alike | {"identity.leak": leaked, "identity.top1": top1}


def _network_identities(stage: Benchmark, done: ModelRun, people: Mapping[str, Floats]) -> dict[str, Score]:
    """Cosine to the right person, and how often they come first, in other groups' embeddings [P, D] of the people."""
    found: dict[str, Score] = {}
    for part, shown in people.items():
        kind, _, name = part.partition(".")
        if kind == "identity":
            names = f"{name}.identity", f"{name}.identity.top1"
            found |= _likeness(*names, done.outputs[part], stage.exact[part], shown, stage)
    return found


def _likeness(cosine: str, top1: str, seen: Floats, exact: Floats, shown: Floats, stage: Benchmark) -> dict[str, Score]:
    """Cosine to the right person, and how often they come first.

    Args:
        cosine: name of the one metric.
        top1: name of the other.
        seen: embeddings [N, D] of the outputs.
        exact: embeddings [N, D] of the exact renders.
        shown: embeddings [P, D] of the people.
        stage: whose pairs they are.
    """
    owners = np.array([pair.person for pair in stage.pairs])
    best = float(first_rows(exact, shown, owners).mean()) if stage.identities else None
    hits = share_score(first_rows(seen, shown, owners), stage.weights, 1 / len(shown), best)
    return _levels(cosine, cosine_rows(seen, exact, shown, owners), stage, False, "higher") | {top1: hits}


def _set_scores(stage: Benchmark, done: ModelRun, tools: EvaluationContext) -> dict[str, Comparable]:
    """How far the outputs as a whole are from the exact renders of the same pairs."""
    if not stage.identities:
        return {}
    units = np.array([(pair.person, pair.target) for pair in stage.pairs])
    return {
        metric: score
        for name in tools.looks()
        for metric, score in set_scores(
            name, stage.exact[f"features.{name}"], done.outputs[f"features.{name}"], stage.weights, units
        ).items()
    }


def _levels(name: str, rows: Distances, stage: Benchmark, squared: bool, better: str) -> dict[str, Score]:
    """A measure, and its transfer."""

    def levels(counted: NDArray[np.bool_]) -> dict[str, Draws]:
        parts = (np.where(counted, part, np.nan) for part in (rows.model, rows.oracle, rows.shuffled))
        return levels_of(Distances(*parts), stage.weights, squared)

    counted = np.isfinite(rows.model)
    ends = levels(np.ones(len(counted), bool))
    floor, ceiling = (finite(ends[level][0]) for level in ("shuffled", "oracle"))
    return {
        name: Score(lambda rows: levels(rows)["model"], counted, floor, ceiling, better),
        f"transfer.{name}": Score(lambda rows: transfers(levels(rows)), counted, 0.0, 1.0, "higher"),
    }
