"""The section of ``docs/recipe-facecrafter.md`` that says when the rehearsal was walked, what it proved and cost.

    python benchmarks/docs_rehearsal.py

`python -m tests.rehearsal FOLDER --result benchmarks/results/rehearsal.json` walks it and writes the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs_parts import RESULTS, ROOT, write_tables

from mien.core.io import read_json
from mien.evaluation.report.tables import table

RESULT = RESULTS / "rehearsal.json"
PAGE = ROOT / "docs" / "recipe-facecrafter.md"
NAMES = {"facecrafter": "FaceCrafter", "emojidiff": "EmojiDiff"}


def tables(found: Mapping[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, its text."""
    made, machine = found["made"], found["made_by"]["machine"]["processor"]
    walked = [made, *found["papers"].values()]
    seconds, processor = (sum(one[key] for one in walked) for key in ("seconds", "processor"))
    papers = " and ".join(NAMES[paper] for paper in found["papers"])
    text = (
        f"Walked {'to its end' if found['passed'] else 'in part'} on {found['made_by']['date'][:10]} "
        f"([JSON](../benchmarks/results/rehearsal.json)): {papers}, in the {found['form']} form, at {found['pixels']} "
        f"pixels. Its steps come to {minutes(seconds)} minutes beside others and {minutes(processor)} of one core "
        f"({machine}; Ray's own processes are not counted), of which making what it works on is "
        f"{minutes(made['seconds'])} and {minutes(made['processor'])}."
    )
    rows = [
        [f"`{step['typed']}`", f"{step['seconds']:.0f}", f"{step['processor']:.0f}", step["proved"]]
        for paper in found["papers"].values()
        for step in paper["steps"]
    ]
    head = ["Typed", "seconds", "of a core", "proved"]
    return {PAGE: ("benchmarks/docs_rehearsal.py", f"{text}\n\n{table(head, rows)}")}


def minutes(seconds: float) -> str:
    """In tenths."""
    return f"{seconds / 60:.1f}"


if __name__ == "__main__":
    write_tables(tables(read_json(RESULT)))
