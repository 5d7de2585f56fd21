"""Two programs on the same cores: how many small steps each makes a second, by how OpenMP's threads wait.

python benchmarks/openmp.py [--seconds 5] [-o benchmarks/results/openmp.json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from result_files import write_result

from mien.core.openmp import SPINS

STEP = """
import sys, time, torch
seconds = float(sys.argv[1])
values, weight, count = torch.randn(64, 256), torch.randn(256, 256) * 0.05, 0
start = time.perf_counter()
while time.perf_counter() - start < seconds:
    values = torch.softmax(torch.tanh(values @ weight), 1) + 0.1
    count += 1
print(count / (time.perf_counter() - start))
"""
"""A stand-in for a small network: many short parallel regions with waiting between them."""


PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
WAYS = {
    "default": {},
    "PASSIVE": PASSIVE,
    "mien's": PASSIVE | {"GOMP_SPINCOUNT": str(SPINS)},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
"""Name -> environment."""


def rates(programs: int, way: dict[str, str], seconds: float) -> list[float]:
    """Steps a second of so many programs at once."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    command = [sys.executable, "-c", STEP, str(seconds)]
    running = [subprocess.Popen(command, env=kept | way, stdout=subprocess.PIPE, text=True) for _ in range(programs)]
    return [float(one.communicate()[0]) for one in running]


def main() -> None:
    """Measure alone and in pairs, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    found = {
        f"{way}, {name}": [round(rate, 1) for rate in rates(programs, environment, chosen.seconds)]
        for way, environment in WAYS.items()
        for name, programs in (("alone", 1), ("in pairs", 2))
    }
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if chosen.output is not None:
        write_result(chosen.output, {"steps a second": found, "cores": os.cpu_count()})


if __name__ == "__main__":
    main()
