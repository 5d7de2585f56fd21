"""The report of a protocol: what all of them have, under the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.baselines import refused
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.statistics.scores import Comparable, differences_to_first


def assembled(
    title: str,
    settings: ControlSettings,
    pictures: int,
    tools: EvaluationContext,
    models: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, Mapping[str, Comparable]],
) -> dict[str, Any]:
    """A report in the shape of `mien.evaluation.protocols.control.compare`.

    Args:
        title: what was run, and how to read it.
        settings: of the run.
        pictures: of each model.
        tools: readers and judges.
        models: name -> what the report has of it beside its metrics.
        scores: name -> metric -> score, the first model being the one that the others are compared with.
    """
    return {
        "title": title,
        "settings": settings.as_json(),
        "pairs": pictures,
        "readers": list(tools.readers),
        "judges": dict(tools.judges),
        "models": {
            name: {**models[name], "metrics": {metric: score.as_json() for metric, score in found.items()}}
            for name, found in scores.items()
        },
    } | differences_to_first(scores)


def baseline_report(scores: Mapping[str, Mapping[str, Comparable]]) -> dict[str, Any]:
    """What a report has of the exact render, the autoencoder and the dummy models.

    Args:
        scores: baseline -> metric -> score, see `mien.evaluation.control.baselines`.

    Returns:
        ``baselines``: as ``models``; ``refused``: metric -> the dummy models that are better on it than the exact
        render.
    """
    return {
        "baselines": {
            name: {"metrics": {metric: score.as_json() for metric, score in found.items()}}
            for name, found in scores.items()
        },
        "refused": refused(scores),
    }
