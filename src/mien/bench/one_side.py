"""One side of the benchmark in a process of its own, for its memory (`mien.bench.memory`)."""

from __future__ import annotations

import json
import sys

from mien.bench.memory import forget_peak, peak
from mien.bench.sampling import Sampling, sides


def main(settings: str, side: str) -> None:
    """Draw one picture with one side, and print its memory as JSON."""
    chosen = Sampling.model_validate_json(settings)
    run = sides(chosen.model_copy(update={"sides": (side,)}))[side]
    forget_peak(chosen.device)
    before = peak(chosen.device)
    run()
    print(json.dumps({"megabytes": round(peak(chosen.device), 1), "before": round(before, 1)}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
