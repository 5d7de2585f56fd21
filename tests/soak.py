"""The kill, disk, concurrency, memory and fuzz tests for a bounded time; their figures go to a JSON file.

python -m tests.soak --minutes 60 --result benchmarks/results/soak.json
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mien.bench.stamp import stamp
from mien.core.io import read_json, write_json
from tests.conftest import OUT_OF_TIME, ROOT

PARTS = {
    "killed, or on a full disk": "tests/test_killing.py",
    "two at once in one folder": "tests/test_together.py",
    "many calls in one process": "tests/generation/test_flat_use.py",
}
"""What runs first, each for `SHARE` of the time at most; the mutants take what is left."""
SHARE = 0.2
GRACE = 300
"""Seconds that a test may need which began in time."""


def run_tests(file: str, seconds: float) -> dict[str, Any]:
    """The tests of a file, slow ones too: how many passed, failed, could not run here, did not begin in time."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", f"--junitxml={report}", file]
        command += ["-m", "not gpu and not net"]
        environment = os.environ | {"MIEN_TESTS_END": str(time.time() + seconds)}
        began = time.monotonic()
        subprocess.run(
            command, cwd=ROOT, env=environment, timeout=seconds + GRACE, stdout=subprocess.DEVNULL, check=False
        )
        suite = ElementTree.parse(report).getroot()[0]
    outcomes = Counter(map(outcome, suite.iter("testcase")))
    minutes = round((time.monotonic() - began) / 60, 1)
    return {"file": file, **{name: outcomes[name] for name in OUTCOMES}, "minutes": minutes}


OUTCOMES = ("passed", "failed", "skipped", "not begun")


def outcome(test: ElementTree.Element) -> str:
    """One of `OUTCOMES`."""
    skipped = test.find("skipped")
    if skipped is not None:
        return "not begun" if skipped.get("message") == OUT_OF_TIME else "skipped"
    return "passed" if test.find("failure") is None and test.find("error") is None else "failed"


def main() -> int:
    """Everything; the exit code is 1 where something failed, or where a busy machine left no time for any mutant."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the mutants")
    parser.add_argument("--result", type=Path, required=True, help="a JSON file for the figures")
    asked = parser.parse_args()
    began = time.monotonic()
    parts = {name: run_tests(file, 60 * SHARE * asked.minutes) for name, file in PARTS.items()}
    left = max(60 * asked.minutes - (time.monotonic() - began), 60) / 60
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "mutants.json"
        command = [sys.executable, "-m", "tests.fuzz.run", "--count", "100000000", "--seed", str(asked.seed)]
        command += ["--minutes", str(left), "--result", str(figures)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        mutants = read_json(figures)
    minutes = round((time.monotonic() - began) / 60, 1)
    said = f"python -m tests.soak --minutes {asked.minutes:g} --seed {asked.seed} --result {asked.result}"
    told = {"minutes": minutes, "tests": parts, "mutants": mutants, "made_by": stamp(said)}
    write_json(asked.result, told)
    return int(bool(code) or not mutants["mutants"] or any(part["failed"] for part in parts.values()))


if __name__ == "__main__":
    sys.exit(main())
