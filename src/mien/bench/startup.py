"""How long one waits before anything is drawn: each start in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import Any

from mien.bench import machine
from mien.bench.timing import Run, pairs, take_turns
from mien.core.progress import Bar, silent
from mien.demo.examples import Examples
from mien.errors import MienError

PHOTOGRAPH = str(Examples.load().people[0].path)
STARTS: dict[str, tuple[str, ...]] = {
    "python": ("-c", "pass"),
    "mien --help": ("-m", "mien", "--help"),
    "mien generate --help": ("-m", "mien", "generate", "--help"),
    "import mien": ("-c", "import mien"),
    "import torch": ("-c", "import torch"),
    "import UNet2DConditionModel": ("-c", "import torch, diffusers.models.unets.unet_2d_condition"),
    "import StableDiffusionPipeline": ("-c", "from diffusers import StableDiffusionPipeline"),
    "import PortraitPipeline": ("-c", "from mien.pipelines import PortraitPipeline"),
    "load the studio": ("-c", "from mien.generation.generate import load_pipeline; load_pipeline('studio')"),
    "a portrait of a photograph": ("-m", "mien", "generate", "--identity", PHOTOGRAPH, "--speed", "few"),
}
"""Name -> arguments of Python, in a folder of its own."""

PAIRS = (
    ("mien --help", "python"),
    ("mien generate --help", "python"),
    ("import StableDiffusionPipeline", "mien generate --help"),
    ("import PortraitPipeline", "import StableDiffusionPipeline"),
    ("load the studio", "import PortraitPipeline"),
    ("a portrait of a photograph", "import UNet2DConditionModel"),
)


def bench_startup(rounds: int = 5, bar: Bar = silent) -> dict[str, Any]:
    """Start each of `STARTS` in turns.

    Args:
        rounds: turns that count; the one before warms the disk's cache.
        bar: makes progress bars.

    Returns:
        The report, as JSON: ``sides`` with the seconds by the clock, and ``pairs``.

    Raises:
        MienError: if one of them fails.
    """
    described = machine.describe("cpu", "float32")
    runs: dict[str, Run] = {name: lambda given=given: _start(given) for name, given in STARTS.items()}
    with bar((rounds + 1) * len(runs), "starting") as advance:
        timings = take_turns(runs, rounds, advance=advance)
    sides = {name: {"seconds": timing.as_json()["seconds"]} for name, timing in timings.items()}
    ratios = pairs(timings, PAIRS)
    for one in ratios:
        one["ratio"].pop("cpu")  # the work is in other processes
    return {"bench": "startup", "machine": described, "sides": sides, "pairs": ratios}


def _start(given: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, *given], capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MienError(f"python {' '.join(given)} failed ({last}); run it by itself to see why.")
