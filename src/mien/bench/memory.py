"""Peak memory of one side, in a process of its own: what one side needed is never given back for the next."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from mien.errors import MienError

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def peak_in_a_process(settings: dict[str, Any], side: str) -> dict[str, float]:
    """Run one side once in a fresh process.

    Args:
        settings: of `mien.bench.sampling.Sampling`, as JSON.
        side: which.

    Returns:
        ``megabytes`` at the peak, and ``before``: with the networks loaded and nothing drawn.

    Raises:
        MienError: if that process fails, as it does where memory runs out.
    """
    command = [sys.executable, "-m", "mien.bench.one_side", json.dumps(settings), side]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["killed"])[-1]
        raise MienError(f"Measuring the memory of {side} failed ({last}); give it more, or leave --memory out.")
    return json.loads(done.stdout.strip().splitlines()[-1])


def forget_peak(device: str) -> None:
    """Begin a new measurement: loading needs more than what is loaded. Only Linux and CUDA can."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    elif _RESET.exists():
        with suppress(OSError):  # kernels without page monitoring
            _RESET.write_text("5", encoding="ascii")


def peak(device: str) -> float:
    """Most megabytes that this process has held since then: on a GPU its tensors, else its resident set."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    if _STATUS.exists():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="ascii").splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    try:
        import resource
    except ImportError as error:
        raise MienError("This system does not say how much memory a process needed; leave --memory out.") from error
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
