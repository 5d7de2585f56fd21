"""The paths that only a GPU takes, in one script of at most six minutes.

    python benchmarks/gpu_check.py -o benchmarks/results/gpu_check.json          # --device cpu tries the script itself

Preparation of features in bfloat16, steps in bf16 and fp16, frozen layers in the compute type, a step continued from a
checkpoint, batches from other processes, offloading, and a compiled step. Networks are small and untrained: it is told
whether each path runs, gives finite numbers, and how they compare with float32, not how well anything is drawn.
"""

from __future__ import annotations

from mien.core.openmp import wait_passively  # noqa: F401 # isort: skip - importing mien says it before torch loads

import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the small networks of the tests

import numpy as np
import torch
import typer
from result_files import write_result

from mien.data.corpus import Corpus
from mien.training.config import TrainConfig
from mien.training.loop import fit
from mien.training.objectives.branch import BranchConfig
from mien.training.sources import Sources
from mien.training.state import counters_of
from tests.training.parted_runs import add_base
from tests.training.small_base import write_base

LIMIT = 330.0
"""Seconds after which no further check is begun."""


def losses(base: Path, runs: Path, name: str, pictures: int = 32, **settings: Any) -> dict[str, float]:
    """A short run of a landmark branch; the running mean of its loss."""
    config = TrainConfig.model_validate(
        {"name": name, "objective": "none:none", "pictures": pictures, "global_batch": 8, "warmup_images": 0,
         "lr": 1e-4, "trackers": [], "grid": 0} | settings
    )  # fmt: skip
    torch.manual_seed(0)
    objective = BranchConfig(kind="landmarks", prompts=(0.2, 0.5, 0.2, 0.1)).build(Sources((base,)))
    fit(config, objective, Corpus.load(base / "data"), runs / name)
    counters = counters_of(runs / name)
    assert counters is not None and counters["seen"] == pictures
    value = counters["running"]["loss"]
    assert np.isfinite(value), value
    return {"loss": value, "skipped": len(counters.get("skipped", []))}


def continued(base: Path, runs: Path, **settings: Any) -> dict[str, float]:
    """A run that stops in the middle against one that does not."""
    whole = losses(base, runs, "whole", **settings)["loss"]
    losses(base, runs, "parts", 16, **settings)
    parts = losses(base, runs, "parts", 32, **settings)["loss"]
    assert abs(parts / whole - 1) < 1e-3, (whole, parts)
    return {"whole": whole, "continued": parts}


def features(base: Path) -> dict[str, float]:
    """How far features of the device are from those in float32 of the processor."""
    from mien.training import features as made
    from mien.training.bases import base_autoencoder

    corpus, found = Corpus.load(base / "data"), {}
    here = made.latents(corpus, base_autoencoder(base / "vae"), base / "vae", 128)
    if not torch.cuda.is_available():
        return {"compared": 0.0}
    plain, made._device = made._device, lambda: "cpu"
    try:
        there = made.latents(corpus, base_autoencoder(base / "vae"), base / "vae", 128)
    finally:
        made._device = plain
    found["latents"] = float(np.abs(here.astype(np.float32) - there).max() / np.abs(there).max())
    assert found["latents"] < 0.05, found
    return found


def compiled(base: Path, device: torch.device) -> dict[str, float]:
    """A compiled UNet's step against the plain one's."""
    from diffusers import UNet2DConditionModel

    unet: Any = UNet2DConditionModel.from_pretrained(base / "unet")
    unet = unet.to(device)
    side, channels, width = unet.config.sample_size, unet.config.in_channels, unet.config.cross_attention_dim
    x, text = torch.randn(2, channels, side, side, device=device), torch.randn(2, 4, width, device=device)
    step = torch.tensor([10, 500], device=device)
    plain = unet(x, step, text).sample
    fast = torch.compile(unet)(x, step, text).sample
    fast.float().pow(2).mean().backward()
    difference = float((fast - plain).abs().max().detach())
    assert difference < 1e-2, difference
    return {"difference": difference}


def offloaded(base: Path, device: torch.device) -> dict[str, float]:
    """Layers that are on the device only while they work."""
    from accelerate import cpu_offload
    from diffusers import UNet2DConditionModel

    unet: Any = UNet2DConditionModel.from_pretrained(base / "unet")
    side, channels, width = unet.config.sample_size, unet.config.in_channels, unet.config.cross_attention_dim
    x, text = torch.randn(1, channels, side, side), torch.randn(1, 4, width)
    with torch.no_grad():
        plain = unet(x, torch.tensor([10]), text).sample
        cpu_offload(unet, device)
        there = unet(x.to(device), torch.tensor([10], device=device), text.to(device)).sample.cpu()
    difference = float((there - plain).abs().max())
    assert difference < 1e-2, difference
    return {"difference": difference}


def main(
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The report, a JSON file.")] = None,
    device: Annotated[str, typer.Option(help="cuda, or cpu to try the script itself.")] = "cuda",
) -> None:
    """Run all checks; one that fails is told and the others go on."""
    if device == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("there is no GPU here; --device cpu tries the script itself.")
    where, report, start = torch.device(device), {}, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        base, runs = write_base(Path(folder) / "base"), Path(folder) / "runs"
        add_base(base)
        checks: dict[str, Callable[[], dict[str, float]]] = {
            "features in the compute type": lambda: features(base),
            "float32": lambda: losses(base, runs, "no", precision="no"),
            "bf16, frozen layers held in it": lambda: losses(base, runs, "bf16", frozen="compute"),
            "bf16, frozen layers in float32": lambda: losses(base, runs, "full", frozen="full"),
            "batches from two processes": lambda: losses(base, runs, "workers", workers=2),
            "accumulation": lambda: losses(base, runs, "accumulated", precision="no", accumulate=4),
            "continued": lambda: continued(base, runs, precision="no"),
            "offloaded layers": lambda: offloaded(base, where),
        }
        if device == "cuda":
            checks |= {
                "fp16": lambda: losses(base, runs, "fp16", precision="fp16"),
                "fp16, continued": lambda: continued(base, runs / "fp16-parts", precision="fp16"),
            }
        checks["compiled step"] = lambda: compiled(base, where)  # the slowest comes last
        for name, check in checks.items():
            begun = time.monotonic()
            if begun - start > LIMIT:
                report[name] = {"not run": "out of time"}
                continue
            try:
                report[name] = check()
            except Exception as error:  # told, and the others go on
                report[name] = {"failed": f"{type(error).__name__}: {error}"}
                traceback.print_exc()
            report[name]["seconds"] = round(time.monotonic() - begun, 1)
            typer.echo(f"{name}: {report[name]}")
    about = {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "torch": torch.__version__}
    if output is not None:
        write_result(output, about | {"checks": report})
    raise typer.Exit(any("failed" in one for one in report.values()))


if __name__ == "__main__":
    typer.run(main)
