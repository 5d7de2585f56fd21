"""FaceCrafter's claim on extra parameters: 5 % of a ControlNet's (Table 1).

    python benchmarks/parameters.py     # puts facecrafter-t1-params into benchmarks/results/claims.json

Counted from configurations (``mien model info``). The claim holds when the share is 5 % to the paper's rounding on
SD1.5 and at most a third in the studio, where the ControlNet is small; the effect is the smaller of the two slacks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mien.adapters import counts
from mien.evaluation.claims.verdicts import merge

RESULT = Path(__file__).parent / "results" / "claims.json"
LIMITS = {"sd15": 0.055, "studio": 1 / 3}


def main() -> None:
    """Count, and write the row."""
    shares = {}
    for base in LIMITS:
        parts = counts(base)
        shares[base] = (parts["landmarks"] + parts["emotion"]) / parts["controlnet"]
    slack = round(min(limit - shares[base] for base, limit in LIMITS.items()), 5)
    row = {
        "id": "facecrafter-t1-params",
        "source": "FaceCrafter, Table 1",
        "statement": "Both modules have 5 % of a ControlNet's parameters on SD1.5, and at most a third in the studio.",
        "paper": [18e6, 361e6],
        "studio": {"metric": "share of the ControlNet's parameters"}
        | {base: round(share, 5) for base, share in shares.items()},
        "effect": slack,
        "low": slack,
        "high": slack,
        "margin": 0.0,
        "holds": slack > 0,
        "command": "python benchmarks/parameters.py",
    }
    merge(RESULT, [row])
    sys.stdout.write(json.dumps(row, indent=2) + "\n")


if __name__ == "__main__":
    main()
