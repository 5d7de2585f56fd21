"""How PyTorch's threads wait for each other."""

from __future__ import annotations

import os
import sys

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""Environment variables with which a user says how OpenMP's threads wait."""
SPINS = 1000
"""How often a thread looks before it sleeps: enough for the next small operator to find it awake."""


def wait_passively() -> None:
    """Let OpenMP's threads sleep soon while they wait, unless the user says otherwise.

    By default they spin. Where two programs share the cores, each spends its turns waiting for threads that the other
    keeps from running, and both become many times slower; threads that sleep at once make a program that has the
    machine to itself take half as long again (``benchmarks/openmp.py`` measures both). The settings are read when
    torch loads its OpenMP library, so they come too late where torch is imported already.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in SETTINGS):
        os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": str(SPINS)}
