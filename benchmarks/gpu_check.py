"""The paths that only a GPU takes, in one script of at most six minutes.

    python benchmarks/gpu_check.py -o benchmarks/results/gpu_check.json          # --device cpu tries the script itself

Preparation of features in bfloat16, steps in bf16 and fp16, frozen layers in the compute type, a step continued from a
checkpoint, batches from other processes, the joint and the alignment stage, a compiled step of a base; a base of
SD1.5's layout drawn in float16, offloaded, from a spec and from a file of requests in batches; faces read in batches,
embedded and judged. Networks are small and untrained: it is told whether each path runs, gives finite numbers, and how
they compare with float32 on the processor, not how well anything is drawn. What needs several GPUs (NCCL) is not among
them.
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

from mien.assets import find_asset
from mien.core.io import write_text
from mien.core.modules import placed
from mien.data.corpus import Corpus
from mien.demo.examples import Examples
from mien.evaluation.judges import picture_features
from mien.faces.landmarker import AT_ONCE, LandmarkerReader
from mien.faces.networks import JudgeAttributes
from mien.faces.onnx import OnnxModel
from mien.faces.torch_onnx import TorchOnnxModel
from mien.generation.many import generate_many
from mien.media.pictures import open_picture
from mien.pipelines.load import load_pipeline
from mien.pipelines.load_options import Loading
from mien.pipelines.spec import ModelSpec
from mien.training.config import TrainConfig
from mien.training.loop import fit
from mien.training.objectives.base import BaseConfig, BaseObjective
from mien.training.objectives.branch import BranchConfig
from mien.training.sources import Sources
from mien.training.state import counters_of
from tests.arcface import iresnet
from tests.published import write_sd15
from tests.training.parted_runs import SMALL, add_base
from tests.training.parted_runs import losses as stage_losses
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


def stage(base: Path, runs: Path, kind: str) -> dict[str, float]:
    """A few steps of a stage with several passes through the base; what it logs."""
    found = stage_losses(base, runs, kind, 2)
    assert found and all(np.isfinite(value) for value in found.values()), found
    return found


def compiled(base: Path, runs: Path) -> dict[str, float]:
    """A base's own training through a compiled UNet against the plain one."""
    found = {}
    for name in (False, True):
        torch.manual_seed(0)
        objective = BaseObjective(Sources((base,)), BaseConfig(unet=SMALL, compile=name))
        config = TrainConfig(
            name="base", objective="none:none", pictures=16, global_batch=8, warmup_images=0, lr=1e-4, trackers=(),
            grid=0, precision="no",
        )  # fmt: skip
        place = runs / f"compiled-{name}"
        fit(config, objective, Corpus.load(base / "data"), place)
        counters = counters_of(place)
        assert counters is not None
        found["compiled" if name else "plain"] = counters["running"]["loss"]
    assert abs(found["compiled"] / found["plain"] - 1) < 1e-2, found
    return found


def pictures_of(pipeline: Any) -> np.ndarray:
    """Two pictures [2, H, W, 3] in 0..1 of the same noise on any device."""
    pipeline.set_progress_bar_config(disable=True)
    noise = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    drawn = pipeline(["a portrait"] * 2, generator=noise, num_inference_steps=3, output_type="np").images
    assert np.isfinite(drawn).all()
    return np.asarray(drawn)


def drawn(folder: Path, **loading: Any) -> dict[str, float]:
    """A base as it is loaded for users, against float32 on the processor."""
    expected = pictures_of(load_pipeline(str(folder), Loading.checked(device="cpu", precision="fp32")))
    found = pictures_of(load_pipeline(str(folder), Loading.checked(**loading)))
    difference = float(np.abs(found - expected).mean())
    assert difference < 0.02, difference
    return {"mean difference": difference}


def from_spec(folder: Path) -> dict[str, float]:
    """A model of an evaluation, whose parts are loaded one by one: all lie on the base's device."""
    spec = ModelSpec(base=str(folder), unet=str(folder / "unet"), text_encoder=str(folder / "text_encoder"))
    pipeline = spec.load()
    devices = {str(module.device) for module in (pipeline.unet, pipeline.text_encoder, pipeline.vae)}
    assert len(devices) == 1 and pipeline.unet.dtype == torch.float32, (devices, pipeline.unet.dtype)
    return {"mean": float(pictures_of(pipeline).mean())}


def requests(folder: Path, runs: Path, **loading: Any) -> dict[str, float]:
    """A file of requests in batches of two."""
    source = runs / "requests.jsonl"
    write_text(source, "".join(f'{{"prompt": "a portrait", "seed": {seed}}}\n' for seed in range(3)))
    defaults = {"base": str(folder), "steps": 2, "reader": "studio", "loading": Loading.checked(**loading)}
    counts = generate_many(source, runs / "drawn", defaults, batch=2, workers=1)
    assert (counts.pictures, counts.failed) == (3, 0), counts
    return {"pictures": counts.pictures}


def faces(device: str) -> dict[str, float]:
    """Faces that are read in a batch, against one after another on the processor."""
    if find_asset("mediapipe-face-landmarker") is None:
        return {"compared": 0.0}
    pictures = [open_picture(one.path) for one in Examples.load().people]
    alone, together = LandmarkerReader(device="cpu"), LandmarkerReader(device=device)
    together.at_once = AT_ONCE
    apart = []
    for one, other in zip(alone.read_batch(pictures), together.read_batch(pictures), strict=True):
        first, second = one.face().landmarks, other.face().landmarks
        assert first is not None and second is not None
        apart.append(float(np.abs(first - second).max()))
    assert max(apart) < 0.5, apart
    return {"compared": len(apart), "most pixels apart": max(apart)}


def networks(folder: Path, device: str) -> dict[str, float]:
    """ArcFace's file by PyTorch against ONNX Runtime, and a judge's features against those on the processor."""
    path, rng = iresnet(folder / "arcface.onnx"), np.random.default_rng(0)
    crops = rng.uniform(-1, 1, (4, 3, 112, 112)).astype(np.float32)
    embeddings = [next(iter(run(crops).values())) for run in (OnnxModel(path), TorchOnnxModel(path, device))]
    first, second = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in embeddings)
    judge = JudgeAttributes(widths=(8, 8, 8), depths=(1, 1, 1), classes={"glasses": ["none", "round"]}).eval()
    pictures = list(rng.integers(0, 255, (4, 128, 128, 3), np.uint8))
    told = [picture_features(placed(judge, device=where), pictures) for where in ("cpu", device)]
    apart = {"embeddings": float(np.abs(first - second).max()), "features": float(np.abs(told[0] - told[1]).max())}
    assert apart["embeddings"] < 1e-3 and apart["features"] < 0.01 * np.abs(told[0]).max(), apart
    return apart


def main(
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The report, a JSON file.")] = None,
    device: Annotated[str, typer.Option(help="cuda, or cpu to try the script itself.")] = "cuda",
) -> None:
    """Run all checks; one that fails is told and the others go on."""
    if device == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("there is no GPU here; --device cpu tries the script itself.")
    report, start = dict[str, Any](), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        base, runs = write_base(Path(folder) / "base"), Path(folder) / "runs"
        add_base(base)
        full = write_sd15(Path(folder) / "sd15")
        runs.mkdir()
        checks: dict[str, Callable[[], dict[str, float]]] = {
            "features in the compute type": lambda: features(base),
            "float32": lambda: losses(base, runs, "no", precision="no"),
            "bf16, frozen layers held in it": lambda: losses(base, runs, "bf16", frozen="compute"),
            "bf16, frozen layers in float32": lambda: losses(base, runs, "full", frozen="full"),
            "batches from two processes": lambda: losses(base, runs, "workers", workers=2),
            "accumulation": lambda: losses(base, runs, "accumulated", precision="no", accumulate=4),
            "continued": lambda: continued(base, runs, precision="no"),
            "joint stage": lambda: stage(base, runs, "joint"),
            "alignment stage": lambda: stage(base, runs, "alignment"),
            "faces in a batch": lambda: faces(device),
            "face networks": lambda: networks(runs, device),
            "a base, drawn": lambda: drawn(full, device=device, precision="auto"),
            "a base from a spec": lambda: from_spec(full),
            "requests in batches": lambda: requests(full, runs, device=device),
        }
        if device == "cuda":
            checks |= {
                "fp16": lambda: losses(base, runs, "fp16", precision="fp16"),
                "fp16, continued": lambda: continued(base, runs / "fp16-parts", precision="fp16"),
                "a base, offloaded": lambda: drawn(full, device=device, offload=True),
            }
        checks["compiled step"] = lambda: compiled(base, runs)  # the slowest comes last
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
