"""Verdicts on the papers' claims: differences between models of one run, computed here, never typed.

A claim holds when the low end of its effect's interval is above minus its margin; 0 is superiority. Effects are signed
so that positive supports the claim. The studio's judges stand in for the papers' networks: a value is no paper's value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mien.core.io import read_json, write_json
from mien.errors import BadInput
from mien.evaluation.claims.catalogue import Claim, catalogue, catalogue_sha256
from mien.evaluation.claims.training import ArmTraining
from mien.evaluation.statistics.bootstrap import estimate

Verdict = Literal["held", "not held", "not tested"]


def tested(
    scores: Mapping[str, Mapping[str, Any]],
    command: str,
    training: Mapping[str, Sequence[ArmTraining]] | None = None,
    refused: Mapping[str, Sequence[str]] | None = None,
) -> list[dict[str, Any]]:
    """The claims whose two models and metric were in a run.

    Where models come in several training seeds, effects are means over the seeds that both have, and the interval is
    also over resampled seeds: three of them say little about more.

    Args:
        scores: model -> metric -> `mien.evaluation.statistics.scores.Comparable`.
        command: what made the numbers.
        training: model -> the training runs it takes weights from; models that are not there were not trained here.
        refused: metric -> the dummy models that are better on it than the exact render.

    Returns:
        Rows of ``claims.json``: id, source, statement, paper, studio (the two values), effect, low, high, margin,
        holds, verdict, reason, command; ``also`` has studio, effect, low and high by the other judges. ``holds`` is
        about the numbers alone; the verdict is "not tested" where an arm did not train, and where a dummy model is
        better on a metric than the exact render.
    """
    rows = []
    for claim in catalogue().claims:
        metrics = (claim.metric, *claim.also)
        compared = {metric: _against(claim, metric, scores) for metric in metrics}
        if all(all(against.values()) for against in compared.values()):
            untrained = [
                reason
                for model, runs in (training or {}).items()
                if model.partition("#")[0] in (claim.model, *claim.baseline)
                for arm in runs
                if (reason := arm.untrained(catalogue().trained)) is not None
            ]
            row = _row(claim, compared, command)
            rows.append(row | dict(zip(("verdict", "reason"), judged(row, untrained, refused or {}), strict=True)))
    return rows


def claims_report(
    scores: Mapping[str, Mapping[str, Any]],
    command: str,
    training: Mapping[str, Sequence[ArmTraining]],
    refused: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """What a report has of claims.

    Returns:
        ``claims`` (see `tested`), ``claims_file`` (the catalogue's date and sha256), and ``training`` of the arms.
    """
    return {
        "claims": tested(scores, command, training, refused),
        "claims_file": {"frozen": catalogue().frozen, "sha256": catalogue_sha256()},
        "training": {model: [arm.as_json() for arm in arms] for model, arms in training.items()},
    }


def judged(
    row: Mapping[str, Any], untrained: Sequence[str], refused: Mapping[str, Sequence[str]]
) -> tuple[Verdict, str]:
    """The verdict on a row of ``claims.json``, and its reason.

    Args:
        row: with ``studio`` (and in it the metric), ``low``, ``high`` and ``margin``.
        untrained: why training runs of its models test nothing, see `ArmTraining.untrained`; none if all trained.
        refused: metric -> the dummy models that are better on it than the exact render.
    """
    reasons = list(untrained)
    parts = [row, *row.get("also", ())]
    for part in parts:
        metric = part["studio"]["metric"]
        if part["low"] is None:
            reasons.append("the effect has no interval")
        if dummies := ", ".join(refused.get(metric, ())):
            reasons.append(f"on {metric} a dummy model ({dummies}) is better than the exact render")
    if reasons:
        return "not tested", "; ".join(dict.fromkeys(reasons)) + "."
    bound = "0" if not row["margin"] else f"minus the margin of {row['margin']:g}"
    intervals = []
    for part in parts:
        where = f" on {part['studio']['metric']}" if len(parts) > 1 else ""
        lies = "lies" if part["low"] > -row["margin"] else "does not lie"
        low, high = f"{part['low']:.3g}", f"{part['high']:.3g}"
        intervals.append(f"the interval of the effect{where}, {low} to {high}, {lies} above {bound}")
    held = all(part["low"] > -row["margin"] for part in parts)
    return ("held" if held else "not held"), "; ".join(intervals) + "."


def _against(claim: Claim, metric: str, scores: Mapping[str, Mapping[str, Any]]) -> dict[str, list[tuple[Any, Any]]]:
    """Baseline -> pairs of the model's score and its own, one a training seed."""
    ours = _seeds(claim.model, metric, scores)
    return {name: _paired(ours, _seeds(name, metric, scores)) for name in claim.baseline}


def _paired(ours: dict[str, Any], theirs: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The two models' scores by shared training seed; two models of one seed each are a pair whatever their names."""
    shared = sorted(ours.keys() & theirs.keys())
    if not shared and len(ours) == len(theirs) == 1:
        return [(*ours.values(), *theirs.values())]
    return [(ours[seed], theirs[seed]) for seed in shared]


def _seeds(name: str, metric: str, scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Training seed -> score, "" for the only one."""
    return {
        model.partition("#")[2]: found[metric]
        for model, found in scores.items()
        if model.partition("#")[0] == name and metric in found
    }


def _row(claim: Claim, compared: Mapping[str, dict[str, list[tuple[Any, Any]]]], command: str) -> dict[str, Any]:
    first, *others = [_effect(claim, metric, against) for metric, against in compared.items()]
    holds = all(part["low"] is not None and part["low"] > -claim.margin for part in (first, *others))
    return {
        "id": claim.id,
        "source": claim.source,
        "statement": claim.statement,
        "paper": claim.paper,
        **first,
        **({"also": others} if others else {}),
        "margin": claim.margin,
        "holds": holds,
        "command": command,
    }


def _effect(claim: Claim, metric: str, against: dict[str, list[tuple[Any, Any]]]) -> dict[str, Any]:
    """The values of one metric, and the effect over the best of the baselines."""
    levels = {name: [(ours.as_json(), theirs.as_json()) for ours, theirs in pairs] for name, pairs in against.items()}
    (first, *_), seeds = (next(iter(levels.values())), max(map(len, levels.values())))
    sign = 1.0 if first[0]["better"] == "higher" else -1.0
    draws = {name: _over_seeds(np.stack([a.apart(b) for a, b in pairs])) for name, pairs in against.items()}
    effect = estimate(np.minimum.reduce([sign * one for one in draws.values()]))
    values = {claim.model: _mean([ours["value"] for ours, _ in next(iter(levels.values()))])}
    values |= {name: _mean([theirs["value"] for _, theirs in pairs]) for name, pairs in levels.items()}
    return {
        "studio": {"metric": metric, **values} | ({"seeds": seeds} if seeds > 1 else {}),
        "effect": effect["value"], "low": effect["low"], "high": effect["high"],
    }  # fmt: skip


def _over_seeds(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over seeds of [S, 1 + draws], with other seeds in each resample; the first column is the data themselves."""
    seeds, count = draws.shape
    chosen = np.random.default_rng(0x736565).integers(0, seeds, (seeds, count))
    chosen[:, 0] = np.arange(seeds)
    return np.take_along_axis(draws, chosen, 0).mean(0)


def _mean(values: list[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return round(sum(there) / len(there), 5) if there else None


def merge(file: Path, rows: list[dict[str, Any]]) -> None:
    """Put rows into ``claims.json``, in the place of those of the same ids; the others stay."""
    write_json(file, list((rows_in(file) | {row["id"]: row for row in rows}).values()))


def rows_in(file: Path) -> dict[str, dict[str, Any]]:
    """Rows of ``claims.json`` by id; none where there is no file yet.

    Raises:
        MienError: if it holds something else.
    """
    rows = read_json(file) if file.exists() else []
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
        raise BadInput(f"{file} holds no claims, so none are put into it: give another file.")
    return {row["id"]: row for row in rows}
