"""Several models on the same people, targets, noise and resamples: levels of each, and differences between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.bootstrap import weighted_means
from mien.evaluation.control.likeness import cosine_rows, first_rows
from mien.evaluation.control.measures import Distances
from mien.evaluation.control.observe import Readings
from mien.evaluation.control.run import (
    Bar,
    Performance,
    Stage,
    control_rows,
    gallery,
    perform,
    renders,
    set_up,
    silent,
)
from mien.evaluation.control.scene import target_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.steer import active
from mien.evaluation.control.summary import estimate, levels_of, transfers
from mien.evaluation.control.tools import ControlTools
from mien.evaluation.metrics.groups import by_group, worst_group_gap
from mien.evaluation.metrics.leak import leak

Draws = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Score:
    """One number of one model over all resamples.

    Attributes:
        level: pictures that may count, bool [N] -> [1 + draws], the data themselves first.
        counted: pictures that count, bool [N]; the others failed.
        floor, ceiling: what no control and the exact render give; None where the number has none.
        better: ``lower`` or ``higher``.
    """

    level: Callable[[NDArray[np.bool_]], Draws]
    counted: NDArray[np.bool_]
    floor: float | None
    ceiling: float | None
    better: str

    def as_json(self) -> dict[str, Any]:
        """value, low, high, n, n_failed, floor, ceiling, better."""
        n = int(self.counted.sum())
        return estimate(self.level(self.counted)) | {
            "n": n, "n_failed": len(self.counted) - n, "floor": self.floor, "ceiling": self.ceiling,
            "better": self.better,
        }  # fmt: skip

    def minus(self, other: Score) -> dict[str, Any]:
        """value, low and high of the difference, over the pictures that count for both."""
        both = self.counted & other.counted
        return estimate(self.level(both) - other.level(both))


def compare(
    settings: ControlSettings,
    models: Mapping[str, tuple[ControlSettings, ControlTools]],
    folder: Path,
    bar: Bar = silent,
) -> tuple[dict[str, Any], dict[str, Performance], Stage]:
    """Run the control protocol on several models.

    Args:
        settings: people, targets and resamples, for all.
        models: name -> its own settings (conditions, scales, guidance, steps) and tools; readers, judges and renderer
            are those of the first. The first is the one the others are compared with.
        folder: where pictures are kept and found again.
        bar: makes progress bars.

    Returns:
        The report; what each model drew; and what they were held against. In the report, ``models`` has for each model
        and metric value, low, high (95 %, two-way cluster bootstrap), n, n_failed, floor and ceiling; ``differences``
        has, for each other model, value, low and high of its score minus the first's, from the same resamples and over
        the pictures that count for both.
    """
    first = next(iter(models.values()))[1]
    stage = set_up(settings, first, folder, bar)
    shown = gallery(first, stage.people)
    donors = gallery(first, renders(first, target_subjects(settings, 0), bar, "donors"))
    done, scores = {}, {}
    for name, (own, tools) in models.items():
        done[name] = perform(stage, own, tools, bar)
        scores[name] = _scores(stage, done[name], first, shown, donors)
    reference, *others = models
    report = {
        "protocol": "control",
        "settings": settings.as_json(),
        "pairs": len(stage.pairs),
        "readers": list(first.readers),
        "judges": dict(first.judges),
        "models": {
            name: {
                "settings": own.as_json(),
                "conditions": list(active(own, tools.kinds)),
                "made_with": done[name].made_with,
                "metrics": {metric: score.as_json() for metric, score in scores[name].items()},
                "groups": group_gaps(stage, done[name].outputs, first),
            }
            for name, (own, tools) in models.items()
        },
        "compared_with": reference,
        "differences": {
            name: {metric: score.minus(scores[reference][metric]) for metric, score in scores[name].items()}
            for name in others
        },
    }
    return report, done, stage


def group_gaps(stage: Stage, outputs: Readings, tools: ControlTools) -> dict[str, Any]:
    """Does it work for everybody? Exp by skin (four bands), age and gender.

    Each group is held against its own exact renders; ``gap`` is what the worst group has more of than the best, None
    where fewer than two groups have enough pictures.
    """
    people = [stage.identities[pair.person].person for pair in stage.pairs]
    labels = {
        "skin": [f"band {person.skin_band}" for person in people],
        "age": ["under 40" if person.age < 40 else "40 and over" for person in people],
        "gender": ["masculine" if person.gender < 0 else "feminine" for person in people],
    }
    measure = f"{tools.first_reader}.exp"
    rows = next(rows for one, rows in control_rows(stage, outputs, tools) if one.name == measure)
    found: dict[str, Any] = {"measure": measure}
    for name, groups in labels.items():
        excess = by_group(rows.model, rows.oracle, groups)
        found[name] = {"excess": {group: _finite(value) for group, value in excess.items()},
                       "gap": _finite(worst_group_gap(excess))}  # fmt: skip
    return found


def _scores(stage: Stage, done: Performance, tools: ControlTools, shown: Any, donors: Any) -> dict[str, Score]:
    """Every metric of one model."""
    found: dict[str, Score] = {}
    for name in tools.readers:
        best = float(stage.exact.found(name).mean())
        found[f"faces.{name}"] = _share(done.outputs.found(name), stage, None, best)
    for measure, rows in control_rows(stage, done.outputs, tools):
        found |= _levels(measure.name, rows, stage, measure.squared, "lower")
    owners = np.array([pair.person for pair in stage.pairs])
    seen, exact = done.outputs["identity"], stage.exact["identity"]
    found |= _levels("identity.cosine", cosine_rows(seen, exact, shown, owners), stage, False, "higher")
    targets = np.array([pair.target for pair in stage.pairs])
    leaks, best_leaks = (leak(rows, shown[owners], donors[targets]) for rows in (seen, exact))
    found["identity.leak"] = _mean(leaks, best_leaks, stage)
    best = float(first_rows(exact, shown, owners).mean())
    found["identity.top1"] = _share(first_rows(seen, shown, owners), stage, 1 / len(shown), best)
    return found


def _share(hits: NDArray[Any], stage: Stage, floor: float | None, ceiling: float) -> Score:
    """How many of all pictures; one without a face is a miss, so all count."""
    share = weighted_means(np.asarray(hits, np.float64), stage.weights)
    return Score(lambda _: share, np.ones(len(hits), bool), floor, ceiling, "higher")


def _mean(rows: Draws, exact: Draws, stage: Stage) -> Score:
    """A mean over pictures [N], lower is better; a picture without a face failed."""
    return Score(
        lambda counted: weighted_means(np.where(counted, rows, np.nan), stage.weights),
        np.isfinite(rows), None, _finite(float(np.nanmean(exact))), "lower",
    )  # fmt: skip


def _levels(name: str, rows: Distances, stage: Stage, squared: bool, better: str) -> dict[str, Score]:
    """A measure, and its transfer."""

    def levels(counted: NDArray[np.bool_]) -> dict[str, Draws]:
        parts = (np.where(counted, part, np.nan) for part in (rows.model, rows.oracle, rows.shuffled))
        return levels_of(Distances(*parts), stage.weights, squared)

    counted = np.isfinite(rows.model)
    ends = levels(np.ones(len(counted), bool))
    floor, ceiling = (_finite(ends[level][0]) for level in ("shuffled", "oracle"))
    return {
        name: Score(lambda rows: levels(rows)["model"], counted, floor, ceiling, better),
        f"transfer.{name}": Score(lambda rows: transfers(levels(rows)), counted, 0.0, 1.0, "higher"),
    }


def _finite(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
