"""Runs mutants in processes of their own, with bounded memory and time.

python -m tests.fuzz.run                      # 2,500 mutants over all kinds
python -m tests.fuzz.run --kinds pictures --count 100 --seed 1
python -m tests.fuzz.run --kinds pictures --first 17 --count 1      # one again
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from mien.core.io import write_json
from mien.errors import MienError
from tests.fuzz.kind import Kind

ROOT = Path(__file__).resolve().parents[2]
MEGABYTES = 2000
"""Resident memory that no reader may need."""
ADDRESSES = 16_000
"""Megabytes of address space of a process: beyond it allocations fail, so that the machine does not."""
SECONDS = 30
"""For one mutant."""


@dataclass
class Figures:
    """What came of the mutants of one kind."""

    read: int = 0
    refused: int = 0
    megabytes: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Mutants that were tried."""
        return self.read + self.refused + len(self.faults)


def kinds() -> dict[str, Kind]:
    """Every kind that a module ``kinds_*`` beside this one tells of."""
    found: dict[str, Kind] = {}
    for file in sorted(Path(__file__).parent.glob("kinds_*.py")):
        found |= importlib.import_module(f"tests.fuzz.{file.stem}").KINDS
    return found


def work(name: str, seed: int, first: int, count: int) -> None:
    """Read mutants in this process, and say what came of each in a line of JSON before the next is begun."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES << 20, ADDRESSES << 20))
    kind = kinds()[name]
    for number in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            path = kind.make(np.random.default_rng([seed, number]), Path(folder))
            print(json.dumps({"begun": number}), flush=True)  # noqa: T201
            outcome = "read"
            try:
                kind.read(path)
            except MienError as error:
                outcome = "refused" if str(error).strip() else "a refusal without a word"
            except Exception:
                outcome = traceback.format_exc(limit=-3)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"done": number, "outcome": outcome, "megabytes": used}), flush=True)  # noqa: T201


def run(name: str, seed: int, count: int, first: int = 0, until: float = float("inf")) -> Figures:
    """Mutants of one kind; a process that dies or hangs is told of, and the next goes on behind it."""
    figures, number = Figures(), first
    while number < first + count and time.monotonic() < until:
        command = [sys.executable, "-m", "tests.fuzz.run", "--work", name, "--seed", str(seed)]
        share = min(100, first + count - number)
        command += ["--first", str(number), "--count", str(share)]
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        limit = min(60 + SECONDS * share, max(until - time.monotonic(), 1) + SECONDS)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=err, text=True)
            try:
                code: int | None = process.wait(limit)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = None
            out.seek(0)
            err.seek(0)
            told = [json.loads(line) for line in out.read().splitlines() if line.startswith("{") and line.endswith("}")]
            words = err.read()[-2000:]
        number = _count(figures, told, number, share, code, words, time.monotonic() >= until)
    return figures


def _count(
    figures: Figures, told: list[dict], number: int, share: int, code: int | None, words: str, out_of_time: bool
) -> int:
    """Add the lines of one process to the figures; the number of the mutant to go on with."""
    for line in told:
        if "done" not in line:
            continue
        figures.megabytes = max(figures.megabytes, line["megabytes"])
        if line["outcome"] in ("read", "refused"):
            setattr(figures, line["outcome"], getattr(figures, line["outcome"]) + 1)
        else:
            figures.faults.append(f"{line['done']}: {line['outcome']}")
    done = number + sum("done" in line for line in told)
    if code == 0 or (code is None and out_of_time):
        return number + share
    why = "no end" if code is None else f"exit {code}"
    figures.faults.append(f"{done}: {why}: {words}")
    return done + 1


def main() -> int:
    """Run every kind, or some; the exit code is 1 if there was any fault."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kinds", nargs="*")
    parser.add_argument("--count", type=int, default=2500, help="in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--result", type=Path, help="a JSON file for the figures")
    parser.add_argument("--work", help="read mutants in this process")
    chosen = parser.parse_args()
    if chosen.work:
        work(chosen.work, chosen.seed, chosen.first, chosen.count)
        return 0
    names = chosen.kinds or list(kinds())
    begun, found = time.monotonic(), {}
    for number, name in enumerate(names):
        until = begun + 60 * chosen.minutes * (number + 1) / len(names)
        found[name] = run(name, chosen.seed, -(-chosen.count // len(names)), chosen.first, until)
        told = asdict(found[name]) | {"count": found[name].count}
        sys.stdout.write(f"{name}: {json.dumps(told)}\n")
        sys.stdout.flush()
    if chosen.result:
        rows = {name: asdict(one) | {"count": one.count} for name, one in found.items()}
        minutes = round((time.monotonic() - begun) / 60, 1)
        write_json(chosen.result, {"seed": chosen.seed, "minutes": minutes, "kinds": rows})
    broken = [name for name, one in found.items() if one.faults or one.megabytes > MEGABYTES]
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
