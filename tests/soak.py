"""The kill, disk, memory and fuzz tests for a bounded time; their figures go to a JSON file.

python -m tests.soak --minutes 60 --result benchmarks/results/soak.json
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mien.bench.stamp import stamp
from mien.core.io import read_json, write_json
from tests.conftest import ROOT

PARTS = {"kill and disk": "tests/test_killing.py", "memory": "tests/generation/test_flat_use.py"}
"""What runs first, each for a quarter of the time at most; the mutants take what is left."""


def tested(file: str, seconds: float, *, slow: bool) -> dict[str, Any]:
    """The tests of a file: how many passed, failed and were skipped, and whether time ran out."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", f"--junitxml={report}", file]
        command += ["-m", "not gpu and not net" if slow else "not gpu and not net and not slow"]
        began = time.monotonic()
        try:
            subprocess.run(command, cwd=ROOT, timeout=seconds, stdout=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired:
            return {"file": file, "out_of_time": True, "minutes": round(seconds / 60, 1)}
        suite = ElementTree.parse(report).getroot()[0].attrib
    bad = int(suite["failures"]) + int(suite["errors"])
    count, skipped = int(suite["tests"]), int(suite["skipped"])
    minutes = round((time.monotonic() - began) / 60, 1)
    return {"file": file, "passed": count - bad - skipped, "failed": bad, "skipped": skipped, "minutes": minutes}


def main() -> int:
    """Everything; the exit code is 1 where something failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the mutants")
    parser.add_argument("--result", type=Path, required=True, help="a JSON file for the figures")
    asked = parser.parse_args()
    end = time.monotonic() + 60 * asked.minutes
    parts = {name: tested(file, 15 * asked.minutes, slow=asked.minutes >= 30) for name, file in PARTS.items()}
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "mutants.json"
        command = [sys.executable, "-m", "tests.fuzz.run", "--count", "100000000", "--seed", str(asked.seed)]
        command += ["--minutes", str(max(end - time.monotonic(), 60) / 60), "--result", str(figures)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        mutants = read_json(figures)
    said = f"python -m tests.soak --minutes {asked.minutes:g} --seed {asked.seed} --result {asked.result}"
    write_json(asked.result, {"minutes": asked.minutes, "tests": parts, "mutants": mutants, "made_by": stamp(said)})
    return int(bool(code) or any(part.get("failed") for part in parts.values()))


if __name__ == "__main__":
    sys.exit(main())
