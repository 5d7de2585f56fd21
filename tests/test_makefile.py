"""`make demo` finds a Python on machines that have one, whatever it is called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None or os.name != "posix", reason="there is no make")


def make(tmp_path: Path, pythons: dict[str, bool], *words: str) -> subprocess.CompletedProcess[str]:
    """Run make on a machine that has these and nothing else; name -> whether it is new enough."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, good in pythons.items():
        (binaries / name).write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n' if good else "#!/bin/sh\nexit 1\n")
        (binaries / name).chmod(0o755)
    command = [str(MAKE), "-C", str(ROOT), f"VENV={tmp_path / 'venv'}", *words]
    environment = {"PATH": str(binaries)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    ("pythons", "taken"),
    [
        ({"python3.12": True}, "python3.12"),
        ({"python3.11": True, "python3.12": True, "python3": True}, "python3.11"),
        ({"python3.11": False, "python3.13": True, "python3": True}, "python3.13"),  # a shim that starts nothing
        ({"python3": True}, "python3"),
    ],
)
def test_the_first_python_that_is_new_enough(tmp_path: Path, pythons: dict[str, bool], taken: str) -> None:
    told = make(tmp_path, pythons, "-n", "demo")
    assert f" {taken} -m venv" in told.stdout and told.stderr == ""


def test_one_may_be_named(tmp_path: Path) -> None:
    assert " /opt/python -m venv" in make(tmp_path, {"python3.11": True}, "-n", "demo", "PYTHON=/opt/python").stdout


@pytest.mark.parametrize("pythons", [{}, {"python3": False}])
def test_none_is_said(tmp_path: Path, pythons: dict[str, bool]) -> None:
    told = make(tmp_path, pythons, "demo")
    assert told.returncode == 2 and not (tmp_path / "venv").exists()
    assert "Python 3.11 or newer was not found" in told.stderr and "PYTHON=" in told.stderr
    assert "not found\n" not in told.stderr
