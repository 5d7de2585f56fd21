"""The pictures as a set: KID and Frechet distance to renders of other people.

Three sets of one size are compared with a fourth: the drawn pictures, the exact renders of the same people and targets,
and renders of still other people. The last gives the distance between two halves of the renders: the floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.progress import Bar
from mien.errors import MissingAsset
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.baselines import baseline_runs
from mien.evaluation.control.folders import sized
from mien.evaluation.control.planned import kept_renders
from mien.evaluation.control.run import Benchmark, ModelRun, run_model, set_up
from mien.evaluation.control.scene import Subject, varied_subjects
from mien.evaluation.control.settings import DEFAULT_CONDITIONS, FIRST_REFERENCE, ControlSettings
from mien.evaluation.networks.load import in_batches
from mien.evaluation.protocols.base import EvaluationRun, Protocol, Report
from mien.evaluation.report.assemble import assembled, baseline_report
from mien.evaluation.report.cases import control_cases
from mien.evaluation.statistics.bootstrap import resamples
from mien.evaluation.statistics.scores import Comparable, KernelScore, SetScore, finite, frechet_name
from mien.metrics.distributions import Moments, frechet_distance, kernel_distances

Rows = NDArray[np.float64]


class DistributionProtocol(Protocol):
    """The control protocol, each model's pictures compared as a set with renders of other people."""

    def run(self, run: EvaluationRun) -> Report:
        """Run the control protocol, and compare each model's pictures as a set with renders of other people.

        Args:
            run: pictures drawn for ``mien evaluate control`` are used again; features are those of the first model.

        Returns:
            A report in which a metric's ``ceiling`` is the distance between two halves of the renders;
            ``exact.METRIC`` is that of the exact renders of the same people and targets, which show as few people as
            the model's pictures do.

        Raises:
            MissingAsset: without the attribute judge or another network in whose features sets are compared.
        """
        settings, first, folder, bar = run.settings, run.first, run.folder, run.bar
        if not first.looks():
            raise MissingAsset("No network gives features of pictures: publish the attribute judge, or give --network.")
        stage = set_up(settings, first, folder, bar)
        each = len(stage.pairs) // settings.people
        starts = [FIRST_REFERENCE + half * settings.people for half in (0, 1)]
        halves = [_features(first, varied_subjects(start, settings.people, each), folder, bar) for start in starts]
        by_reference = resamples(
            [np.repeat(np.arange(settings.people), each)], settings.draws, np.random.default_rng(0x72656673)
        )
        units = np.array([(pair.person, pair.target) for pair in stage.pairs])

        def scored(one: ModelRun) -> dict[str, Comparable]:
            return set_distances(
                halves[0], halves[1], stage.exact.values, one.outputs.values, stage.weights, by_reference, units
            )

        done: dict[str, ModelRun] = {}
        scores: dict[str, dict[str, Comparable]] = {}
        for name, (asked, tools) in run.models.items():
            with run.part():
                done[name] = run_model(stage, sized(asked, stage.people, stage.wanted), tools, bar)
                scores[name] = scored(done[name])
        run.check_whole()
        made = {name: {"made_with": one.made_with} for name, one in done.items()}
        report = assembled(_title(settings, stage), settings, len(stage.pairs), first, made, scores)
        report |= baseline_report({name: scored(one) for name, one in baseline_runs(stage, first, bar).items()})
        shown = f"{first.first_reader}.blendshapes"
        cases = {name: control_cases(one, stage, shown) for name, one in done.items()}
        return Report(report | {"protocol": self.name}, cases)


DISTRIBUTION = DistributionProtocol(
    "distribution", "the pictures as a set, against renders of other people", 600, 100, 4, DEFAULT_CONDITIONS
)


def set_distances(
    reference: Mapping[str, Rows],
    other: Mapping[str, Rows],
    exact: Mapping[str, Rows],
    seen: Mapping[str, Rows],
    weights: Rows,
    by_reference: Rows,
    units: NDArray[Any],
) -> dict[str, Comparable]:
    """KID and Frechet distance to the reference.

    Args:
        reference: ``features.NAME`` [N, D] of renders, for each network; as many of every person, one after the other.
        other: of as many other renders.
        exact: of the exact renders of the same people and targets as the pictures, beside other readings.
        seen: of the pictures, beside other readings.
        weights: resamples of the pictures [1 + draws, N].
        by_reference: resamples of the reference [1 + draws, N].
        units: person and target of each picture [N, 2].
    """
    found: dict[str, Comparable] = {}
    # no person of one half is in the other or among the pictures' people, and no two renders share a target
    rows = np.arange(len(units))
    renders = -1 - np.stack([rows // (len(units) // len(np.unique(units[:, 0]))), rows], 1)
    first, second = renders, renders - len(units)
    for part, real in reference.items():
        name = part.removeprefix("features.")
        frechet, moments = frechet_name(name), Moments.of(real)
        kid_floor = kernel_distances(real, other[part], by_reference[:1], weights[:1], (first, second))
        ends = finite(float(kid_floor[0])), finite(frechet_distance(moments, Moments.of(other[part])))
        for prefix, rows in (("", seen[part]), ("exact.", exact[part])):
            kid = kernel_distances(real, rows, by_reference, weights, (first, units))
            found[f"{prefix}kid.{name}"] = KernelScore(kid, len(rows), ends[0])
            found[f"{prefix}{frechet}.{name}"] = SetScore(
                frechet_distance(moments, Moments.of(rows)), len(rows), ends[1]
            )
    return found


def _features(tools: EvaluationContext, subjects: list[Subject], folder: Path, bar: Bar) -> dict[str, Rows]:
    """``features.NAME`` [N, D] of renders."""
    pictures = kept_renders(tools, subjects, folder, "reference renders", bar)
    return {f"features.{name}": in_batches(look, pictures) for name, look in tools.looks().items()}


def _title(settings: ControlSettings, stage: Benchmark) -> str:
    return (
        f"{len(stage.pairs)} pictures of {settings.people} held-out studio people under {settings.targets} targets, "
        "against as many renders of other people. Ceiling: two halves of such renders; exact: the exact renders of the "
        "same people and targets. In parentheses: 95 % interval, bootstrap over people and targets."
    )
