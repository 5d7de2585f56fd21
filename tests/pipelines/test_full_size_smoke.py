"""SD1.5 and SDXL at full size with random weights: all branches, a guided step, a training step, and the memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def free_gibibytes() -> float:
    """Memory that a new process can have; infinite where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next(int(line.split()[1]) / 2**20 for line in lines if line.startswith("MemAvailable"))


@pytest.mark.slow
@pytest.mark.parametrize(
    # SDXL is drawn and trained on 32 x 32 latents, a sixteenth of its own: what is large is the UNet, not the picture
    ("size", "pixels", "parameters", "most"),
    [("sd15", 512, 859_520_964, 6.0), ("sdxl", 256, 2_567_463_684, 12.0)],
)
def test_full_size(size: str, pixels: int, parameters: int, most: float, capsys: pytest.CaptureFixture[str]) -> None:
    if free_gibibytes() < most:
        pytest.skip(f"less than {most} GiB of memory are free")
    command = [sys.executable, "-m", "tests.smoke_full_size", size, str(pixels)]
    path = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])
    done = subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        print("", json.dumps(told, indent=1))  # noqa: T201
    assert told["unet"] == parameters
    # the words' own null, then identity, and each other branch beside it: one call
    assert told["drawn"] == {"rows": [5], "shape": [1, 3, pixels, pixels], "finite": True}
    trained = told["trained"]
    assert trained["frozen"] and not trained["without gradient"] and 0 < trained["loss"] < 10
    assert all(count > 0 for count in trained["moved"].values()), trained["moved"]
    assert told["trained: peak GiB"] < most
