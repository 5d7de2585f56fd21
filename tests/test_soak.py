"""`make soak`: what it counts, and its five-minute form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mien.core.io import read_json, write_json
from mien.core.log import append_line, read_lines
from tests.conftest import ROOT
from tests.soak import OUTCOMES, PARTS, Soak, counted, run_tests

SEED = 0
"""Of the order: the test that dies comes before the other."""
ENDINGS = "def test_passes(): pass\ndef test_fails(): assert False\n" + (
    "import pytest\ndef test_skips(): pytest.skip('needs a browser')\n"
    "@pytest.fixture\ndef broken(): raise OSError\ndef test_errs(broken): pass\n"
    "@pytest.fixture\ndef breaks():\n    yield\n    raise OSError\ndef test_breaks(breaks): pass\n"
)


def test_outcomes_are_counted_and_no_test_is_run_twice(tmp_path: Path) -> None:
    file, log = tmp_path / "test_a.py", tmp_path / "a.jsonl"
    file.write_text(ENDINGS)
    for _ in range(2):
        run_tests(str(file), 600, log, SEED)
        assert counted(str(file), log) == {"file": str(file), "passed": 1, "skipped": 1, "failed": 3, "not begun": 0}
    assert sum(line.get("outcome") == "begun" for line in read_lines(log)) == 5


def test_no_test_begins_when_time_is_over(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    run_tests("tests/core/test_log.py", -1, log, SEED)
    told = counted("tests/core/test_log.py", log)
    assert told["not begun"] > 3 and told["passed"] == told["failed"] == 0


def test_the_order_is_the_seeds(tmp_path: Path) -> None:
    file = tmp_path / "test_a.py"
    file.write_text("".join(f"def test_{number}(): pass\n" for number in range(8)))
    orders = []
    for seed, name in ((1, "a"), (1, "b"), (2, "c")):
        log = tmp_path / f"{name}.jsonl"
        run_tests(str(file), 600, log, seed)
        orders.append([line["test"] for line in read_lines(log) if line.get("outcome") == "begun"])
    assert orders[0] == orders[1] and orders[0] != orders[2] and sorted(orders[0]) == sorted(orders[2])


def test_a_test_without_an_end_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, log = tmp_path / "test_a.py", tmp_path / "a.jsonl"
    file.write_text("import os, signal\ndef test_dies(): os.kill(os.getpid(), signal.SIGKILL)\ndef test_b(): pass\n")
    run_tests(str(file), 600, log, SEED)
    assert {name: count for name, count in counted(str(file), log).items() if count} == {
        "file": str(file), "failed": 1, "not begun": 1,
    }  # fmt: skip
    run_tests(str(file), 600, log, SEED)
    assert counted(str(file), log)["passed"] == 1, "the others are run by the same command"


def test_sittings_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, asked = tmp_path / "soak.json", []

    def run_part(file: str, seconds: float, log: Path, seed: int) -> float:
        asked.append((file, seconds > 0))
        append_line(log, {"collected": 1})
        append_line(log, {"test": file, "outcome": "begun"})
        append_line(log, {"test": file, "outcome": "passed"})
        return 2.0

    def read_mutants(self: Soak, minutes: float) -> float:
        write_json(self.mutants, {"minutes": 4.0, "mutants": 9, "faults": 0})
        self.told["mutants"] = read_json(self.mutants)
        return 4.0

    monkeypatch.setattr("tests.soak.run_tests", run_part)
    monkeypatch.setattr(Soak, "read_mutants", read_mutants)
    Soak(10, 3, result).sit(0)
    told = read_json(result)
    assert len(asked) == 1 and not told["whole"] and told["tests"]["killed, or on a full disk"]["passed"] == 1
    again = Soak(10, 3, result)
    again.sit(5)
    assert again.told["whole"] and not again.failed and again.told["minutes"] == 10
    assert [file for file, _ in asked] == list(PARTS.values())
    assert [path.name for path in tmp_path.iterdir()] == ["soak.json"], "what was kept for sittings is gone"
    assert not Soak(10, 4, result).told["whole"], "another seed begins anew"


@pytest.mark.slow
def test_five_minutes(tmp_path: Path) -> None:
    result = tmp_path / "soak.json"
    command = [sys.executable, "-m", "tests.soak", "--minutes", "5", "--result", str(result)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    told = read_json(result)
    assert told["tests"].keys() == PARTS.keys() and told["mutants"]["mutants"] > 0
    for part in told["tests"].values():
        assert sum(part[name] for name in OUTCOMES) > 0 and not part["failed"]
