"""Writes docs/robustness.md from the last figures of the mutants, of ``make soak`` and of the broken equations.

python benchmarks/docs_robustness.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.core.io import read_json, write_text
from mien.evaluation.report.tables import table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "robustness.md"
RESULTS = ROOT / "benchmarks" / "results"


def mutants_table(found: dict[str, Any]) -> str:
    """A row for each kind of file."""
    rows = [
        [name, str(row["count"]), str(row["read"]), str(row["refused"]), str(len(row["faults"])),
         f"{row['megabytes']:.0f}"]
        for name, row in found["kinds"].items()
    ]  # fmt: skip
    return table(["Files", "mutants", "read", "refused in a sentence", "faults", "most memory (MB)"], rows)


def page() -> str:
    """The page."""
    mutants = read_json(RESULTS / "mutants.json")
    parts = [
        "# Damaged files, killed commands, full disks\n",
        "A fault is a traceback, a native crash, a hang, or a refusal that is no sentence. Mutants are made from seeds "
        "(`tests/fuzz`) and read in processes of their own; the memory is that of the whole process, with PyTorch.\n",
        f"{mutants['mutants']} mutants of seed {mutants['seed']}, {mutants['faults']} faults "
        "([JSON](../benchmarks/results/mutants.json)):\n",
        mutants_table(mutants) + "\n",
    ]
    broken = RESULTS / "mutations.json"
    equations = read_json(broken)["mutations"] if broken.exists() else []
    soak = RESULTS / "soak.json"
    if soak.exists():
        told = read_json(soak)
        rows = [
            [name, *(str(row[outcome]) for outcome in ("passed", "failed", "not begun")), f"{row['minutes']:g}"]
            for name, row in told["tests"].items()
        ]
        parts += [
            f"The last `make soak`, {told['minutes']:g} minutes{'' if told['whole'] else ', not whole'} "
            "([JSON](../benchmarks/results/soak.json)): "
            f"{told['mutants']['mutants']} further mutants, {told['mutants']['faults']} faults.\n",
            table(["Commands", "tests passed", "failed", "not begun in time", "minutes"], rows) + "\n",
            mutants_table(told["mutants"]) + "\n",
        ]
    parts.append(
        "`make soak` takes an hour: it kills `generate`, `sweep`, `animate`, `studio render`, `pairs build`, "
        "`data import`, `generate --from`, `evaluate` and training with `kill -9` at points of their writing, fills "
        "the disk, runs two of each in one "
        "folder, calls `generate`, `read`, `score` and the page's service a hundred times in one process, and reads "
        "mutants for the rest; each of the first "
        "three kinds of tests gets a fifth of the time. Stopped, it goes on by the same command; "
        "`python -m tests.soak --minutes 60 --sitting 8 --result benchmarks/results/soak.json` does eight minutes of "
        "it at a time. `pytest -m slow tests/test_soak.py` does it for five minutes.\n"
    )
    if equations:
        parts += [
            "## Broken equations\n",
            "`python -m tests.mutations` breaks an equation in one place of the source, and runs the test that has to "
            f"notice: {sum(row['caught'] for row in equations)} of {len(equations)} did "
            "([JSON](../benchmarks/results/mutations.json)).\n",
            table(["What is broken", "in", "noticed"], [
                [row["name"], f"`{row['file']}`", "yes" if row["caught"] else "**no**"] for row in equations
            ]) + "\n",
        ]  # fmt: skip
    return "\n".join(parts)


if __name__ == "__main__":
    write_text(PAGE, page())
