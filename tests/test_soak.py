"""`make soak`: what it counts, and its five-minute form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mien.core.io import read_json
from tests.conftest import OUT_OF_TIME, ROOT
from tests.soak import OUTCOMES, PARTS, outcome, run_tests


@pytest.mark.parametrize(
    ("content", "counted"),
    [
        ("", "passed"),
        ("<failure message='x'/>", "failed"),
        ("<error message='x'/>", "failed"),
        ("<skipped message='needs a browser'/>", "skipped"),
        (f"<skipped message='{OUT_OF_TIME}'/>", "not begun"),
    ],
)
def test_outcomes_of_tests(content: str, counted: str) -> None:
    assert outcome(ElementTree.fromstring(f"<testcase>{content}</testcase>")) == counted


def test_no_test_begins_when_time_is_over() -> None:
    told = run_tests("tests/core/test_log.py", -1)
    assert told["not begun"] > 3 and told["passed"] == told["failed"] == 0


@pytest.mark.slow
def test_five_minutes(tmp_path: Path) -> None:
    result = tmp_path / "soak.json"
    command = [sys.executable, "-m", "tests.soak", "--minutes", "5", "--result", str(result)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    told = read_json(result)
    assert told["tests"].keys() == PARTS.keys() and told["mutants"]["mutants"] > 0
    for part in told["tests"].values():
        assert sum(part[name] for name in OUTCOMES) > 0 and not part["failed"]
