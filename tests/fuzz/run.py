"""Runs mutants in processes of their own, with bounded memory and time.

python -m tests.fuzz.run                      # 2,500 mutants over all kinds
python -m tests.fuzz.run --minutes 8 --result FILE.json     # in sittings: the same command goes on
python -m tests.fuzz.run --kinds pictures --count 100 --seed 1
python -m tests.fuzz.run --kinds pictures --first 17 --count 1      # one again
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mien.bench.memory import forget_peak, peak
from mien.bench.stamp import stamp
from mien.core.io import read_json, write_json
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

    def add(self, other: Figures) -> None:
        """Take the mutants of another sitting in."""
        self.read, self.refused = self.read + other.read, self.refused + other.refused
        self.megabytes = round(max(self.megabytes, other.megabytes), 1)
        self.faults += other.faults

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"count": self.count}


def earlier(result: Path | None, seed: int) -> dict[str, Figures]:
    """The figures of earlier sittings with the seed, which this one goes on with."""
    stored = read_json(result) if result is not None and result.exists() else {}
    if stored.get("seed") != seed:
        return {}
    return {
        name: Figures(**{key: value for key, value in row.items() if key != "count"})
        for name, row in stored["kinds"].items()
    }


def minutes_of(result: Path | None, seed: int) -> float:
    """How long the earlier sittings took together."""
    stored = read_json(result) if result is not None and result.exists() else {}
    return stored["minutes"] if stored.get("seed") == seed else 0.0


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
    forget_peak("cpu")  # a process begins with the peak of the one that started it
    for number in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            path = kind.make(np.random.default_rng([seed, number]), Path(folder))
            print(json.dumps({"begun": number}), flush=True)  # noqa: T201
            outcome = "read"
            try:
                kind.read(path)
            except MienError as error:
                outcome = "refused" if is_sentence(str(error)) else f"a refusal that is no sentence: {error}"
            except Exception:
                outcome = traceback.format_exc(limit=-3)
        used = peak("cpu")
        print(json.dumps({"done": number, "outcome": outcome, "megabytes": used}), flush=True)  # noqa: T201


def is_sentence(text: str) -> bool:
    """Whether a refusal says something, in a line that a person reads."""
    return text.strip().endswith(".") and len(text) < 2000 and "\n" not in text


def run(name: str, seed: int, count: int, first: int = 0, until: float = float("inf")) -> Figures:
    """Mutants of one kind; a process that dies or hangs is told of, and the next goes on behind it."""
    figures, number = Figures(), first
    while number < first + count and time.monotonic() < until:
        command = [sys.executable, "-m", "tests.fuzz.run", "--work", name, "--seed", str(seed)]
        share = min(300, first + count - number)
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
    begun, found, before = time.monotonic(), earlier(chosen.result, chosen.seed), minutes_of(chosen.result, chosen.seed)
    for number, name in enumerate(names):
        until = begun + 60 * chosen.minutes * (number + 1) / len(names)
        figures, first = found.setdefault(name, Figures()), chosen.first
        wanted = -(-chosen.count // len(names))
        figures.add(run(name, chosen.seed, wanted - figures.count, first + figures.count, until))
        sys.stdout.write(f"{name}: {json.dumps(figures.told())}\n")
        sys.stdout.flush()
        if chosen.result:
            minutes = round(before + (time.monotonic() - begun) / 60, 1)
            rows = {name: one.told() for name, one in sorted(found.items())}
            mutants = sum(one.count for one in found.values())
            faults = sum(len(one.faults) for one in found.values())
            told = {"seed": chosen.seed, "minutes": minutes, "mutants": mutants, "faults": faults, "kinds": rows}
            told["made_by"] = stamp(shlex.join(["python", "-m", "tests.fuzz.run", *sys.argv[1:]]))
            write_json(chosen.result, told)
    broken = [name for name, one in found.items() if one.faults or one.megabytes > MEGABYTES]
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
