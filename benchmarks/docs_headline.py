"""The headline on the pages: the table in ``docs/metrics.md``, and what the other pages say of ``headline.json``.

    python benchmarks/docs_headline.py

Where there is no such file the pages say so; no number is written by hand.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs_parts import RESULTS, ROOT, write_tables

from mien.core.io import read_json
from mien.evaluation.control.baselines import AUTOENCODER, DUMMIES, EXACT
from mien.evaluation.report.tables import headline_tables, number, table

Headline = Mapping[str, Any]
SHIPPED = "shipped"
COMMAND = "python benchmarks/headline.py --facekit KIT"
UNMEASURED = (
    "Not measured on these weights yet: there is no `benchmarks/results/headline.json`. "
    f"`{COMMAND}` measures it, in hours on two processor cores."
)


def read_headline(results: Path = RESULTS) -> Headline | None:
    """The headline file; None where there is none."""
    file = results / "headline.json"
    return read_json(file) if file.is_file() else None


def score(found: Headline, model: str, measure: str) -> Mapping[str, Any] | None:
    """Value and interval of one model; None where it was not measured."""
    return found["models"].get(model, {}).get(measure)


def section(found: Headline | None) -> list[str]:
    """Heading, tables, what is refused and what was not measured, for ``docs/results.md``."""
    heading = "## The headline"
    if found is None:
        return [heading, UNMEASURED]
    command = _without_places(found.get("made_by", {}).get("command", COMMAND))
    further = [metric for metric in found.get("report_refused", {}) if metric not in found["refused"]]
    parts = [
        heading,
        f"`{command}` ([JSON](../benchmarks/results/headline.json)); {found['pairs']} pairs of a held-out person and "
        "another person's template. In parentheses: 95 % interval.",
        *headline_tables({"headline": found}),
    ]
    if not found["refused"]:
        parts.append("On no headline measure is a dummy model better than the exact render.")
    if further:
        names = ", ".join(f"`{name}`" for name in further)
        parts.append(f"Outside the headline a dummy model is better than the exact render on: {names}.")
    return parts


PLACES = ("-o", "--output", "--page", "--pictures")
"""Options that say where files of the one who measured lie."""


def _without_places(command: str) -> str:
    """A command line without `PLACES` and what follows them."""
    words = shlex.split(command)
    kept = [word for before, word in zip(["", *words], words, strict=False) if not {before, word} & set(PLACES)]
    return shlex.join(kept)


def metric_table(found: Headline | None) -> str:
    """A row a headline measure, a column a model: the dummies, the exact render, the autoencoder, what ships."""
    if found is None:
        return UNMEASURED
    names = [*DUMMIES, EXACT, AUTOENCODER, SHIPPED]
    rows = [
        [f"`{measure}`", *(number(score(found, name, measure)) for name in names),
         ", ".join(found["refused"].get(measure, ())) or "-"]
        for measure in found["meanings"]
        if any(score(found, name, measure) is not None for name in names)
    ]  # fmt: skip
    return table(["Measure", *names, "refused: better than the exact render"], rows)


def tables(found: Headline | None) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    return {ROOT / "docs" / "metrics.md": ("benchmarks/docs_headline.py", metric_table(found))}


if __name__ == "__main__":
    write_tables(tables(read_headline()))
