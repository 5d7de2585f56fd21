"""What `tests.soak` loads into pytest: no test twice, none begun when time is over, and each outcome kept at once.

`MIEN_SOAK_LOG` names a file of JSON lines that says what was done before, `MIEN_SOAK_END` a time, and `MIEN_SOAK_SEED`
the order.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from mien.core.log import append_line, read_lines

RANK = ("passed", "skipped", "failed")
"""Outcomes, the worst last: that of a test is the worst of its parts."""


def outcomes(log: Path) -> dict[str, str]:
    """Test -> its outcome; that of a test that had begun and did not end is ``failed``."""
    found: dict[str, str] = {}
    for line in read_lines(log):
        if line.get("outcome") == "begun":
            found[line["test"]] = "begun"
        elif "outcome" in line and found[line["test"]] in ("begun", *RANK[: RANK.index(line["outcome"])]):
            found[line["test"]] = line["outcome"]
    return {test: "failed" if outcome == "begun" else outcome for test, outcome in found.items()}


def collected(log: Path) -> int:
    """How many tests there are."""
    return max((line["collected"] for line in read_lines(log) if "collected" in line), default=0)


def _log() -> Path:
    return Path(os.environ["MIEN_SOAK_LOG"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what was done; the order is the seed's, or the same tests would be left at the end of every soak."""
    append_line(_log(), {"collected": len(items)})
    done = outcomes(_log())
    random.Random(os.environ["MIEN_SOAK_SEED"]).shuffle(items)
    items[:] = [item for item in items if item.nodeid not in done]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Begin no test when time is over."""
    if time.time() > float(os.environ["MIEN_SOAK_END"]):
        item.session.shouldstop = "out of time"
        return True
    append_line(_log(), {"test": item.nodeid, "outcome": "begun"})
    return None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep an outcome."""
    if report.when == "call" or report.outcome != "passed":
        append_line(_log(), {"test": report.nodeid, "outcome": report.outcome})
