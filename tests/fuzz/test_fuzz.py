"""Mutants of every kind of file: no traceback, no native crash, no hang, bounded memory."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.fuzz.kind import Kind
from tests.fuzz.mutate import mutated
from tests.fuzz.run import MEGABYTES, kinds, run

KINDS = kinds()


def test_mutants_follow_from_their_numbers(tmp_path) -> None:
    content = bytes(range(256)) * 4
    one, same, other = (mutated(content, np.random.default_rng([0, number])) for number in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize("name", list(KINDS))
def test_a_few_mutants(name: str) -> None:
    found = run(name, seed=0, count=15)
    assert found.faults == [] and found.count == 15 and found.megabytes < MEGABYTES


@pytest.mark.slow
@pytest.mark.parametrize("name", list(KINDS))
def test_five_minutes_of_mutants(name: str) -> None:
    """Other mutants every day, the same within one: a fault of today can be repeated."""
    seed = int(time.time() // 86_400)
    until = time.monotonic() + 300 / len(KINDS)
    first = 0
    while time.monotonic() < until:
        found = run(name, seed, 100, first, until)
        assert found.faults == [], f"seed {seed}: {found.faults}"
        assert found.megabytes < MEGABYTES
        first += 100


def test_a_fault_a_crash_and_a_hang_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner itself, with a kind that is broken on purpose."""
    import tests.fuzz.run as runner

    code = (
        "import os, sys, time, tests.fuzz.run as runner\n"
        "from tests.fuzz.kind import Kind\n"
        "def read(path):\n"
        "    number = int(path.read_text())\n"
        "    if number == 1: raise IndexError\n"
        "    if number == 2: os.abort()\n"
        "def make(rng, folder):\n"
        "    path = folder / 'a'\n"
        "    path.write_text(str(runner.now))\n"
        "    runner.now += 1\n"
        "    return path\n"
        "runner.kinds = lambda: {'broken': Kind(make, read)}\n"
        "runner.now = int(sys.argv[sys.argv.index('--first') + 1])\n"
        "sys.exit(runner.main())\n"
    )
    whole = runner.subprocess.Popen

    def started(command: list[str], **options: object) -> object:
        return whole([command[0], "-c", code, *command[3:]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(runner.subprocess, "Popen", started)
    found = runner.run("broken", seed=0, count=5)
    assert found.read == 3 and found.count == 5
    assert "1: Traceback" in found.faults[0] and "IndexError" in found.faults[0]
    assert "2: exit -6" in found.faults[1]
    assert all(isinstance(kind, Kind) for kind in KINDS.values())
