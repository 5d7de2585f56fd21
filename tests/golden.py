"""Golden values: what a computation gave when it was last meant to change.

On the machine that made them they are compared bit for bit, and elsewhere within a bound: another processor sums in
another order. ``MIEN_UPDATE_GOLDEN=1 pytest -k golden`` writes them anew; say in the commit why they moved.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from mien.core.io import read_json, write_json

FILE = Path(__file__).with_suffix(".json")
LIBRARIES = ("torch", "diffusers", "transformers", "numpy")


def machine() -> dict[str, str]:
    """What decides the bits: the processor, the kernels that PyTorch chooses for it, threads and versions."""
    information = Path("/proc/cpuinfo")
    wanted = ("vendor_id", "cpu family", "model", "model name", "stepping")
    first = information.read_text().split("\n\n")[0] if information.exists() else ""
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    processor = " ".join(told[name] for name in wanted if name in told) or platform.processor()
    kernels = {name: os.environ[name] for name in ("ONEDNN_MAX_CPU_ISA", "MKL_CBWR") if name in os.environ}
    return {
        "processor": processor,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        **kernels,
        **{name: version(name) for name in LIBRARIES},
    }


def assert_golden(name: str, values: Sequence[float], bound: float) -> None:
    """Compare with what is stored under a name.

    Args:
        name: of the values.
        values: of about one size.
        bound: on other machines, the largest difference as a share of the largest stored value.
    """
    stored = read_json(FILE) if FILE.exists() else {}
    if os.environ.get("MIEN_UPDATE_GOLDEN") == "1":
        stored[name] = {"made_on": machine(), "values": list(values)}
        write_json(FILE, dict(sorted(stored.items())))
        return
    expected = stored[name]["values"]
    if stored[name]["made_on"] == machine():
        assert list(values) == expected, f"{name} changed on the machine that made it"
    largest = float(np.abs(expected).max())
    np.testing.assert_allclose(values, expected, rtol=0, atol=bound * largest, err_msg=name)
