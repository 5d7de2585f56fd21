"""The table of results in README.md, from ``results/control.json``: no number in it is written by hand.

python benchmarks/docs_readme.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docs_parts import short, write_tables

from mien.core.io import read_json
from mien.evaluation.control.report import table

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "control.json"


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    expression, pose = report["control"]["mediapipe.exp"], report["control"]["judge.pose"]
    first = report["identity"]["look"]["top1"]
    rows = [
        ["expression: mean difference of 52 blendshapes (EmojiDiff's Exp)", "lower", *_levels(expression)],
        ["head pose: error of yaw, pitch and roll in degrees", "lower", *_levels(pose)],
        [f"identity: the right person is the nearest of {round(1 / first['chance'])}", "higher",
         *_levels(first | {"shuffled": {"value": first["chance"]}})],
    ]  # fmt: skip
    head = ["", "better", "bundled model (95 % interval)", "exact renders", "without control"]
    return {ROOT / "README.md": ("benchmarks/docs_readme.py", table(head, rows))}


def _levels(found: dict[str, Any]) -> list[str]:
    model = found["model"]
    interval = f"{short(model['value'])} ({short(model['low'])} to {short(model['high'])})"
    return [interval, short(found["oracle"]["value"]), short(found["shuffled"]["value"])]


if __name__ == "__main__":
    write_tables(tables(read_json(RESULT)))
