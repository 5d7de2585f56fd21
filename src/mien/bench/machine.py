"""What the numbers were taken on, and what that machine can do at best."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.processes import available_cores

if TYPE_CHECKING:
    import torch


def describe(device: str, dtype: str) -> dict[str, Any]:
    """The processor, how many cores may be used and are, what else runs, libraries, device and number format."""
    import torch

    found: dict[str, Any] = {
        "processor": processor(),
        "cores": available_cores(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "memory_gb": _memory(),
        "device": device,
        "dtype": dtype,
        "python": platform.python_version(),
    }
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name(device)
    return found | {library: version(library) for library in ("torch", "diffusers", "transformers")}


def processor() -> str:
    """The processor's name."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):  # Windows has no sysconf
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def limits(device: str, dtype: torch.dtype, wait: Callable[[], object] = lambda: None) -> dict[str, float]:
    """The best that was seen of this machine: a large product of matrices, and a copy.

    Returns:
        ``gflops`` (10^9 floating-point operations a second) and ``gigabytes`` (moved a second, reading and writing).
    """
    import torch

    side = 4096 if device.startswith("cuda") else 1024
    a = torch.randn(side, side, device=device, dtype=dtype)
    source = torch.empty(2**25, device=device)  # 128 MB, beyond any cache
    target = torch.empty_like(source)
    product, copy = (_best(run, wait) for run in (lambda: a @ a, lambda: target.copy_(source)))
    return {"gflops": round(2 * side**3 / product / 1e9, 1), "gigabytes": round(2 * 2**27 / copy / 1e9, 1)}


def _best(run: Callable[[], object], wait: Callable[[], object], times: int = 20) -> float:
    seconds = []
    for _ in range(times):
        wait()
        start = time.perf_counter()
        run()
        wait()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
