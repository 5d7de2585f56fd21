"""OpenMP's waiting policy: passive before torch loads, unless the user has set one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mien.core.openmp import SETTINGS

CODE = "{first}import mien, os; print(os.environ.get('OMP_WAIT_POLICY'))"


def policy(first: str = "", **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    run = subprocess.run(
        [sys.executable, "-c", CODE.format(first=first)], env=kept | environment, capture_output=True, check=True,
        text=True,
    )  # fmt: skip
    return run.stdout.strip()


def test_threads_wait_passively_unless_the_user_says_otherwise() -> None:
    assert policy() == "PASSIVE"
    assert policy(OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"
    assert policy(KMP_BLOCKTIME="1") == "None"
    assert policy("import sys; sys.modules['torch'] = sys; ") == "None", "too late to act, so nothing is set"


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP library is in torch's wheels for Linux")
def test_torchs_library_reads_it() -> None:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    run = subprocess.run(
        [sys.executable, "-c", "import mien, torch"], env=kept | {"OMP_DISPLAY_ENV": "TRUE"}, capture_output=True,
        check=True, text=True,
    )  # fmt: skip
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in run.stderr
