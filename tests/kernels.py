"""The tests that compute, once for each set of kernels and number of threads: bits differ by both, verdicts must not.

    python -m tests.kernels [--only avx2-1 ...] [--rooms pipelines ...] [--busy] [PYTEST OPTIONS]

A set of kernels is what PyTorch and oneDNN would choose on a processor without the later instructions. `--busy` keeps
every core busy with something else meanwhile, so that threads are late and their sums come in another order.
"""

from __future__ import annotations

import argparse
import ast
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

from mien.core.processes import available_cores
from tests.conftest import ROOT

KERNELS = {"default": "SSE41", "avx2": "AVX2", "avx512": "AVX512_CORE"}
"""ATEN_CPU_CAPABILITY -> ONEDNN_MAX_CPU_ISA, from the oldest processors to the newest."""
THREADS = (1, 2)
ROOMS = ("adapters", "core", "diffusion", "faces", "generation", "metrics", "models", "pipelines", "training")
"""Folders of the tests of what computes with torch; those of what starts commands compute nothing else."""
HELPERS = ("tests.golden", "tests.tiny", "tests.tolerance")
"""What tests import that compute without naming torch."""


def variants() -> dict[str, dict[str, str]]:
    """Name -> environment; those that this processor can run."""
    names, best = list(KERNELS), torch.backends.cpu.get_cpu_capability().lower()
    possible = names[: names.index(best) + 1] if best in names else names[:1]
    return {
        f"{kernels}-{threads}": {
            "ATEN_CPU_CAPABILITY": kernels,
            "ONEDNN_MAX_CPU_ISA": KERNELS[kernels],
            "OMP_NUM_THREADS": str(threads),
        }
        for kernels in possible
        for threads in THREADS
    }


def computes(file: Path) -> bool:
    """Whether a test file imports torch or one of `HELPERS`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return any(name.split(".")[0] == "torch" or name in HELPERS for name in names)


def computing_tests(rooms: tuple[str, ...] = ROOMS) -> list[Path]:
    """The files of some rooms, in order, and the golden pictures."""
    files = [file for room in rooms for file in sorted((ROOT / "tests" / room).rglob("test_*.py"))]
    return [file for file in [*files, ROOT / "tests" / "test_golden.py"] if computes(file)]


def spin() -> None:
    """Work without an end."""
    while True:
        sum(range(10**6))


@contextmanager
def busy_cores() -> Iterator[None]:
    """Every core has something else to do."""
    others = [multiprocessing.get_context("spawn").Process(target=spin, daemon=True) for _ in range(available_cores())]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.terminate()


def main() -> int:
    """Every variant; the exit code is 1 where a test failed in one."""
    possible = variants()
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=possible, help="sets of kernels and numbers of threads")
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=ROOMS, help="folders of tests")
    parser.add_argument("--busy", action="store_true", help="with all cores kept busy")
    asked, options = parser.parse_known_args()
    command = [sys.executable, "-m", "pytest", *options, *map(str, computing_tests(tuple(asked.rooms)))]
    failed = []
    for name in asked.only or possible:
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        with busy_cores() if asked.busy else nullcontext():
            done = subprocess.run(command, cwd=ROOT, env=os.environ | possible[name], check=False)
        if done.returncode:
            failed.append(name)
    sys.stdout.write(f"failed: {', '.join(failed) or 'none'}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
