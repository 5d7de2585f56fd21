"""Verdicts on the claims that are in ``claims.json`` already: held, not held or not tested, each with its reason.

    python benchmarks/verdicts.py

Numbers stay. What an arm did in training is read from its run where the cache has it, else what ``claims.json`` says of
it stays; whether a dummy model is better on a metric than the exact render is read from ``headline.json``. A claim of
the catalogue that no report has tested gets a row without numbers.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs_parts import RESULTS

from mien.core.io import read_json, write_json
from mien.evaluation.claims.catalogue import Claim, catalogue
from mien.evaluation.claims.training import runs_of, training_of
from mien.evaluation.claims.verdicts import judged
from mien.pipelines.runs import runs_folder
from mien.pipelines.spec import load_spec


def specs_in(command: str) -> dict[str, str]:
    """Model -> spec, from a command line of ``mien evaluate``."""
    words = shlex.split(command)
    named = [words[row + 1] for row, word in enumerate(words[:-1]) if word == "--model" and "=" in words[row + 1]]
    return dict(word.split("=", 1) for word in named)


def untrained(row: dict[str, Any], runs: Path) -> list[str]:
    """Why the arms of a row test nothing: from the runs that are there, of the others what the row says already."""
    models = [name for name in row["studio"] if name not in ("metric", "seeds")]
    specs = [spec for model, spec in specs_in(row["command"]).items() if model.partition("#")[0] in models]
    names = dict.fromkeys(run for spec in specs for run in runs_of(load_spec(spec)))
    known = {run: arm for run in names if (arm := training_of(runs / run)) is not None}
    said = row["reason"].removesuffix(".").split("; ") if row["verdict"] == "not tested" else []
    reasons = [reason for run in names.keys() - known.keys() for reason in said if run in reason.split()]
    found = [reason for arm in known.values() if (reason := arm.untrained(catalogue().trained)) is not None]
    return sorted([*reasons, *found], key=lambda reason: said.index(reason) if reason in said else len(said))


REPORTS = ("table1", "table2", "table3", "expression")
"""Stored reports of ``mien evaluate`` that test claims."""


def withdrawn(results: Path = RESULTS) -> dict[str, str]:
    """Metrics that were taken out of a stored report -> why."""
    found = [read_json(results / f"{name}.json").get("withdrawn", {}) for name in REPORTS]
    return {metric: one["why"] for one in found for metric in one.get("metrics", ())}


def unmeasured(claim: Claim, gone: Mapping[str, str]) -> dict[str, Any]:
    """The row of ``claims.json`` of a claim that no report has tested.

    Args:
        claim: of the catalogue.
        gone: metrics that were taken out of the reports -> why.
    """
    models = " and ".join((claim.model, *claim.baseline))
    metrics = " and ".join((claim.metric, *claim.also))
    why = f": {gone[claim.metric][0].lower()}{gone[claim.metric][1:]}" if claim.metric in gone else "."
    return {
        "id": claim.id,
        "source": claim.source,
        "statement": claim.statement,
        "paper": claim.paper,
        "studio": {"metric": claim.metric},
        "effect": None,
        "low": None,
        "high": None,
        "margin": claim.margin,
        "holds": False,
        "command": "",
        "verdict": "not tested",
        "reason": f"no report has {metrics} of {models}{why}",
    }


def metrics_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics that a row's numbers are of."""
    return tuple(part["studio"]["metric"] for part in (row, *row.get("also", ())))


def with_verdicts(
    claims: list[dict[str, Any]], refused: dict[str, list[str]], runs: Path, gone: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The rows of ``claims.json`` with ``verdict`` and ``reason``, and one for each claim that was never tested.

    Args:
        claims: the rows that are there.
        refused: metric -> the dummy models that are better on it than the exact render.
        runs: folder of the training runs.
        gone: see `unmeasured`.
    """
    rows, asked = [], {claim.id: claim for claim in catalogue().claims}
    for row in claims:
        claim = asked.get(row["id"])
        if claim is not None and metrics_of(row) != (claim.metric, *claim.also):
            reason = f"the catalogue asks for {' and '.join((claim.metric, *claim.also))}, which no report has yet."
            row = row | {"statement": claim.statement, "verdict": "not tested", "reason": reason}
        elif row["effect"] is not None:
            verdict, reason = judged(row, untrained(row, runs), refused)
            row = row | {"verdict": verdict, "reason": reason}
        rows.append(row)
    known = {row["id"] for row in claims}
    return [*rows, *(unmeasured(claim, gone) for claim in catalogue().claims if claim.id not in known)]


if __name__ == "__main__":
    headline = RESULTS / "headline.json"
    refused = read_json(headline)["report_refused"] if headline.is_file() else {}
    claims = read_json(RESULTS / "claims.json")
    write_json(RESULTS / "claims.json", with_verdicts(claims, refused, runs_folder(), withdrawn()))
