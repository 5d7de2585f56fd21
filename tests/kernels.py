"""The tests that compute, once for each set of kernels and number of threads: bits differ by both, verdicts must not.

python -m tests.kernels [--only avx2-1 ...] [--busy] [PYTEST OPTIONS]

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
from contextlib import contextmanager
from pathlib import Path

import torch

from mien.core.processes import available_cores
from tests.conftest import ROOT

KERNELS = {"default": "SSE41", "avx2": "AVX2", "avx512": "AVX512_CORE"}
"""ATEN_CPU_CAPABILITY -> ONEDNN_MAX_CPU_ISA, from the oldest processors to the newest."""
THREADS = (1, 2)
COMPUTING = ("adapters", "diffusion", "evaluation", "faces", "generation", "metrics", "models", "pipelines", "training")
"""The rooms of mien whose results are floats that PyTorch computes."""
ELSEWHERE = ("test_real_comfyui.py",)
"""Tests that start a program of others, which chooses its own kernels."""


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
    """Whether a test file imports torch, or a room whose results are floats."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    parts = [name.split(".") for name in names]
    return any(part[0] == "torch" or part == ["tests", "tiny"] or part[:2] in ROOMS for part in parts)


ROOMS = [["mien", room] for room in COMPUTING]


def computing_tests() -> list[Path]:
    """The files, in order."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [file for file in files if file.name not in ELSEWHERE and computes(file)]


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


def run(environment: dict[str, str], options: list[str]) -> int:
    """pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-n", "2", *options, *map(str, computing_tests())]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False).returncode


def main() -> int:
    """Every variant; the exit code is 1 where a test failed in one."""
    possible = variants()
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append", choices=possible, help="a set of kernels and a number of threads")
    parser.add_argument("--busy", action="store_true", help="with all cores kept busy")
    asked, options = parser.parse_known_args()
    codes: dict[str, int] = {}
    for name in asked.only or possible:
        print(f"== {name}", flush=True)
        if asked.busy:
            with busy_cores():
                codes[name] = run(possible[name], options)
        else:
            codes[name] = run(possible[name], options)
    for name, code in codes.items():
        print(f"{name:12} {'passed' if code == 0 else f'FAILED ({code})'}")
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main())
