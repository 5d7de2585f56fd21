"""The results in README.md, from ``results/headline.json``: no number in them is written by hand.

python benchmarks/docs_readme.py
"""

from __future__ import annotations

from pathlib import Path

from docs_headline import SHIPPED, UNMEASURED, Headline, read_headline, score
from docs_parts import ROOT, write_tables

from mien.evaluation.control.baselines import DUMMIES, EXACT
from mien.evaluation.report.tables import number, table

ROWS = {
    "nearness.expression": "expression: 52 blendshapes",
    "nearness.pose": "head pose: yaw, pitch and roll",
    "nearness.identity": "likeness: an identity judge's embedding",
}
"""Headline measure -> what it is, for those who have not read the metrics page."""


def content(found: Headline | None) -> str:
    """The table, with what it shows and how it was measured."""
    if found is None:
        return UNMEASURED
    names = [EXACT, *DUMMIES]
    rows = []
    for measure, what in ROWS.items():
        ours, *others = (score(found, name, measure) for name in (SHIPPED, *names))
        short = [number(None if one is None else {**one, "low": None, "high": None}, 2) for one in others]
        rows.append([what, number(ours, 2), *short])
    head = ["Nearness to the exact render", "bundled model (95 % interval)", "exact render", *DUMMIES]
    kinds = "; ".join(f"{name}: {what}" for name, what in found["dummies"].items())
    return (
        f"{table(head, rows)}\n\nOn {found['settings']['people']} synthetic people who were never trained on, each "
        f"with expressions and poses of other people, {found['pairs']:,} pictures. Nearness is 0 for pictures of other "
        "targets and 1 for the exact render of the wanted person as it comes through the autoencoder. Dummy models: "
        f"{kinds}. Measured by `python benchmarks/headline.py` ([JSON](benchmarks/results/headline.json))."
    )


def tables(found: Headline | None) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    return {ROOT / "README.md": ("benchmarks/docs_readme.py", content(found))}


if __name__ == "__main__":
    write_tables(tables(read_headline()))
