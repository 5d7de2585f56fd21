"""The kill, disk, concurrency, memory and fuzz tests for a bounded time; their figures go to a JSON file.

    python -m tests.soak --minutes 60 --result benchmarks/results/soak.json
    python -m tests.soak --minutes 60 --result FILE.json --sitting 8     # the same command goes on until all is done

What was done stands in the result and in a file beside it, which is removed at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.bench.stamp import stamp
from mien.core.io import read_json, write_json
from tests.conftest import ROOT
from tests.soak_plugin import RANK, collected, outcomes

PARTS = {
    "killed, or on a full disk": "tests/test_killing.py",
    "two at once in one folder": "tests/test_together.py",
    "many calls in one process": "tests/generation/test_flat_use.py",
}
"""What runs first, each for `SHARE` of the time at most; the mutants take what is left."""
SHARE = 0.2
GRACE = 600
"""Seconds that a test may need which began in time."""
OUTCOMES = (*RANK, "not begun")
LEAST = 1.0
"""Minutes that the mutants have, however long the tests took."""


@dataclass
class Soak:
    """A soak, whole or begun.

    Attributes:
        minutes: how long it takes in all.
        seed: of the mutants, and of the order of the tests.
        result: the JSON file.
    """

    minutes: float
    seed: int
    result: Path

    def __post_init__(self) -> None:
        stored = read_json(self.result) if self.result.exists() else {}
        same = (stored.get("asked"), stored.get("seed")) == (self.minutes, self.seed)
        self.told: dict[str, Any] = stored if same else {"asked": self.minutes, "seed": self.seed, "minutes": 0.0}
        self.told = {"whole": False, "tests": {}, **self.told}
        if not same:
            for file in (*map(self.log, PARTS.values()), self.mutants):
                file.unlink(missing_ok=True)

    def log(self, file: str) -> Path:
        """What was done of the tests of a file."""
        return self.result.with_name(f".{self.result.stem}.{Path(file).stem}.jsonl")

    @property
    def mutants(self) -> Path:
        """The figures of the mutants while they are read."""
        return self.result.with_name(f".{self.result.stem}.mutants.json")

    def sit(self, minutes: float) -> None:
        """Go on for some minutes at most, then write the result."""
        end = time.monotonic() + 60 * minutes
        for name, file in PARTS.items():
            before = self.told["tests"].get(name, {"minutes": 0.0})
            left = 60 * (SHARE * self.minutes - before["minutes"])
            if left > 0 and before.get("not begun", 1):
                spent = run_tests(file, min(left, end - time.monotonic()), self.log(file), self.seed)
                taken = round(before["minutes"] + spent, 1)
                self.told["tests"][name] = counted(file, self.log(file)) | {"minutes": taken}
                self.write(spent)
            if time.monotonic() >= end:
                return
        tests = sum(row["minutes"] for row in self.told["tests"].values())
        mine = max(self.minutes - tests, LEAST)
        left = mine - self.told.get("mutants", {"minutes": 0.0})["minutes"]
        spent = self.read_mutants(min(left, (end - time.monotonic()) / 60))
        self.told["whole"] = self.told["mutants"]["minutes"] >= 0.98 * mine  # it stops between two processes
        self.write(spent)

    def read_mutants(self, minutes: float) -> float:
        """Read mutants for some minutes; how many it were."""
        began = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz.run", "--count", "100000000", "--seed", str(self.seed)]
        command += ["--minutes", str(minutes), "--result", str(self.mutants)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        subprocess.run(command, cwd=ROOT, env=environment, check=False)
        self.told["mutants"] = read_json(self.mutants)
        return (time.monotonic() - began) / 60

    def write(self, spent: float) -> None:
        """Write what is known after some further minutes."""
        self.told["minutes"] = round(self.told["minutes"] + spent, 1)
        said = ["python", "-m", "tests.soak", "--minutes", f"{self.minutes:g}", "--seed", str(self.seed)]
        self.told["made_by"] = stamp(shlex.join([*said, "--result", str(self.result)]))
        write_json(self.result, self.told)
        if self.told["whole"]:
            for file in (*map(self.log, PARTS.values()), self.mutants):
                file.unlink(missing_ok=True)

    @property
    def failed(self) -> bool:
        """Whether anything did, or a busy machine left no time for any mutant."""
        mutants = self.told.get("mutants", {"mutants": 0, "faults": 0})
        failed = any(part["failed"] for part in self.told["tests"].values()) or bool(mutants["faults"])
        return failed or (self.told["whole"] and not mutants["mutants"])


def run_tests(file: str, seconds: float, log: Path, seed: int) -> float:
    """Run the tests of a file that the log does not name, slow ones too, in the order of a seed; minutes it took."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    command += ["-p", "tests.soak_plugin", file, "-m", "not gpu and not net"]
    log = log.absolute()
    environment = os.environ | {"MIEN_SOAK_LOG": str(log), "MIEN_SOAK_END": str(time.time() + seconds)}
    environment |= {"MIEN_SOAK_SEED": str(seed), "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    began = time.monotonic()
    with contextlib.suppress(subprocess.TimeoutExpired):  # a test without an end, which its log says
        subprocess.run(
            command, cwd=ROOT, env=environment, timeout=max(seconds, 0) + GRACE, stdout=subprocess.DEVNULL, check=False
        )
    return (time.monotonic() - began) / 60


def counted(file: str, log: Path) -> dict[str, Any]:
    """How many tests passed, failed, could not run here, did not begin in time."""
    counts = Counter(outcomes(log).values())
    counts["not begun"] = collected(log) - counts.total()
    return {"file": file, **{name: counts[name] for name in OUTCOMES}}


def main() -> int:
    """Everything, or a part of it; the exit code is 1 where something failed, and 3 where there is more to do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--sitting", type=float, help="stop after so many minutes; the same command goes on")
    parser.add_argument("--seed", type=int, default=0, help="of the mutants and of the order of the tests")
    parser.add_argument("--result", type=Path, required=True, help="a JSON file for the figures")
    asked = parser.parse_args()
    soak = Soak(asked.minutes, asked.seed, asked.result)
    while not soak.told["whole"]:
        soak.sit(asked.sitting or max(asked.minutes - soak.told["minutes"], LEAST))
        if asked.sitting:
            break
    return 1 if soak.failed else 0 if soak.told["whole"] else 3


if __name__ == "__main__":
    sys.exit(main())
