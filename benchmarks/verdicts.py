"""Verdicts on the claims that are in ``claims.json`` already: held, not held or not tested, each with its reason.

    python benchmarks/verdicts.py

Numbers stay. What an arm did in training is read from its run where the cache has it, else from ``arms.json`` and the
preset's settings; whether a dummy model is better on a metric than the exact render from ``headline.json``.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from mien.core.io import read_json, write_json
from mien.errors import MienError
from mien.evaluation.claims.training import ArmTraining, full_rate_steps, gap_of, runs_of, training_of
from mien.evaluation.claims.verdicts import judged
from mien.pipelines.runs import runs_folder
from mien.pipelines.spec import load_spec
from mien.training.presets import preset

RESULTS = Path(__file__).resolve().parent / "results"


def specs_in(command: str) -> dict[str, str]:
    """Model -> spec, from a command line of ``mien evaluate``."""
    words = shlex.split(command)
    named = [words[row + 1] for row, word in enumerate(words[:-1]) if word == "--model" and "=" in words[row + 1]]
    return dict(word.split("=", 1) for word in named)


def training(run: str, arms: dict[str, Any], runs: Path) -> ArmTraining | None:
    """What a run did; None where nothing is known of it."""
    if (found := training_of(runs / run)) is not None:
        return found
    if run not in arms:
        return None
    try:
        config = preset(run.partition("-seed")[0]).model_dump()
    except MienError:
        return None
    one = arms[run]
    config |= {"pictures": one["pictures"], "global_batch": one["batch"]}
    return ArmTraining(run, one["seen"], full_rate_steps(config, one["seen"]), None, gap_of(one["validation"]))


def with_verdicts(
    claims: list[dict[str, Any]], arms: list[dict[str, Any]], refused: dict[str, list[str]], runs: Path
) -> list[dict[str, Any]]:
    """The rows of ``claims.json`` with ``verdict`` and ``reason``."""
    by_run = {one["run"]: one for one in arms}
    found = []
    for row in claims:
        models = [name for name in row["studio"] if name not in ("metric", "seeds")]
        specs = [spec for model, spec in specs_in(row["command"]).items() if model.partition("#")[0] in models]
        names = dict.fromkeys(run for spec in specs for run in runs_of(load_spec(spec)))
        known = [arm for run in names if (arm := training(run, by_run, runs)) is not None]
        verdict, reason = judged(row, known, refused)
        found.append(row | {"verdict": verdict, "reason": reason})
    return found


if __name__ == "__main__":
    headline = RESULTS / "headline.json"
    refused = read_json(headline)["report_refused"] if headline.is_file() else {}
    rows = with_verdicts(read_json(RESULTS / "claims.json"), read_json(RESULTS / "arms.json"), refused, runs_folder())
    write_json(RESULTS / "claims.json", rows)
