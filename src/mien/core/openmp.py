"""How PyTorch's threads wait for each other."""

from __future__ import annotations

import os
import sys

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""Environment variables with which a user says how OpenMP's threads wait."""


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait, unless the user says otherwise.

    By default they spin. Where two programs share the cores, each spends its turns waiting for threads that the other
    keeps from running, and both become many times slower (``benchmarks/openmp.py`` measures it). The setting is read
    when torch loads its OpenMP library, so it comes too late where torch is imported already.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in SETTINGS):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
