"""How far the arms of a comparison learnt: their budgets, rates and errors on held-out people.

    python benchmarks/arms.py RUN [RUN ...]

A RUN is the folder of a run of ``mien train``. Writes ``benchmarks/results/arms.json``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from result_files import write_result

from mien.core.io import read_json
from mien.core.log import read_lines

CURVES = ("loss", "diffusion", "ad")
RESULT = Path(__file__).parent / "results" / "arms.json"


def arm(run: Path) -> dict[str, Any]:
    """Settings and the last validation of a run."""
    config = read_json(run / "config.json")
    records = read_lines(run / "log.jsonl")
    validation = next(record["validation"] for record in reversed(records) if "validation" in record)
    return {
        "objective": config["objective"].partition(":")[0],
        "kind": config["options"].get("kind", "landmarks"),
        **{name: config[name] for name in ("pictures", "lr", "seed")},
        "batch": config.get("global_batch", config.get("batch")),  # as 0.1.0 called it
        "run": run.name,
        "seen": records[-1]["seen"],
        "curve": [[one[name] for name in ("seen", *CURVES) if name in one] for one in records if "loss" in one],
        "validation": {name: round(value, 4) for name, value in validation.items()},
    }


if __name__ == "__main__":
    write_result(RESULT, {"arms": [arm(Path(run)) for run in sys.argv[1:]]})
