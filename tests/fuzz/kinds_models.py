"""Adapters, LoRA files, bases and checkpoints of training: loaded, and drawn with or gone on with."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mien.adapters import save_adapter
from mien.pipelines.bases import is_small, open_base
from mien.pipelines.few_step import FewStep, save_few_step
from mien.pipelines.load import add_adapters
from mien.pipelines.load_options import Lora
from mien.pipelines.loras import add_loras
from mien.training.state import FILE, PREVIOUS, PowerEMA, load_state, save_state
from tests.fuzz.kind import Kind
from tests.fuzz.mutants import mutant
from tests.ip_adapters import write_ip_adapter
from tests.ldm import write_checkpoint
from tests.pipelines.test_pipeline_loading import write_lora
from tests.published import write_sd15
from tests.tiny import NULLS, tiny_branch, tiny_condition, tiny_pipeline

ADAPTERS = ("ours.safetensors", "plain.safetensors", "plusv2.safetensors", "plain.bin", "few_step.safetensors")


@cache
def sound(name: str) -> Path:
    """Sound files of a kind, in a folder that goes with the process."""
    warnings.simplefilter("ignore")
    holder = tempfile.TemporaryDirectory(prefix="mien-fuzz-")
    _HELD.append(holder)
    folder = Path(holder.name)
    _WRITERS[name](folder)
    return folder


_HELD: list[tempfile.TemporaryDirectory[str]] = []


def _adapters(folder: Path) -> None:
    pipeline = tiny_pipeline(())
    branches = {kind: tiny_branch(pipeline.unet, kind, null=NULLS[kind]) for kind in ("emotion", "landmarks")}
    save_adapter(folder / "ours.safetensors", branches)
    write_ip_adapter(pipeline.unet, folder / "plain.safetensors", "plain", 20)
    write_ip_adapter(pipeline.unet, folder / "plusv2.safetensors", "faceid-plus", 20, rank=2)
    write_ip_adapter(pipeline.unet, folder / "plain.bin", "plain", 20)
    layer = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    shape = pipeline.unet.get_submodule(layer).weight.shape
    tensors = {f"{layer}.lora_A.weight": torch.randn(2, shape[1]), f"{layer}.lora_B.weight": torch.randn(shape[0], 2)}
    save_few_step(folder / "few_step.safetensors", tensors, FewStep(steps=2, guidance={"text": 2.0}))


def _loras(folder: Path) -> None:
    write_lora(tiny_pipeline(()), folder / "lora.safetensors")


def _bases(folder: Path) -> None:
    tiny_pipeline(("emotion",)).save_pretrained(folder)


def _single_files(folder: Path) -> None:
    write_sd15(folder / "sd15")
    write_checkpoint(open_base(folder / "sd15"), folder / "base.safetensors")


def _run() -> tuple[dict[str, nn.Parameter], PowerEMA, torch.optim.Optimizer]:
    torch.manual_seed(0)
    parameters = {"a.weight": nn.Parameter(torch.randn(30, 5)), "b.bias": nn.Parameter(torch.randn(7))}
    return parameters, PowerEMA(parameters, 7.0), torch.optim.AdamW(parameters.values())


def _checkpoints(folder: Path) -> None:
    parameters, ema, optimizer = _run()
    for seen in (1, 2):
        for parameter in parameters.values():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        ema.update(parameters)
        save_state(folder, parameters, ema, optimizer, {"seen": seen, "step": seen, "seconds": 1.0})


_WRITERS: dict[str, Callable[[Path], None]] = {
    "adapters": _adapters, "loras": _loras, "bases": _bases, "single files": _single_files,
    "checkpoints": _checkpoints,
}  # fmt: skip


def draw_with(pipeline: Any) -> None:
    """A picture with every branch that there is."""
    kinds = {branch.kind for branch in pipeline.adapters.values()} & {"emotion", "landmarks", "identity"}
    asked: dict[str, Any] = {kind: tiny_condition(kind, 1) for kind in kinds}
    pipeline.set_progress_bar_config(disable=True)
    pipeline(
        "red hair", **asked, identity_mode="branch", num_inference_steps=1, output_type="pt",
        generator=[torch.Generator().manual_seed(0)],
        identity_picture=torch.zeros(1, 3, 32, 32) if "identity" in kinds else None,
    )  # fmt: skip


def _damage(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def adapter(rng: np.random.Generator, folder: Path) -> Path:
    name = ADAPTERS[int(rng.integers(len(ADAPTERS)))]
    return mutant(sound("adapters") / name, _damage(rng), folder / name)


def read_adapter(file: Path) -> None:
    pipeline = tiny_pipeline(())
    add_adapters(pipeline, (str(file),))
    if "identity" not in {branch.kind for branch in pipeline.adapters.values()}:
        draw_with(pipeline)
    if pipeline.few_step is not None:
        pipeline("red hair", speed="few", output_type="pt")


def lora(rng: np.random.Generator, folder: Path) -> Path:
    return mutant(sound("loras") / "lora.safetensors", _damage(rng), folder / "lora.safetensors")


def read_lora(file: Path) -> None:
    pipeline = tiny_pipeline(())
    add_loras(pipeline, (Lora(file=file),))
    draw_with(pipeline)


def base(rng: np.random.Generator, folder: Path) -> Path:
    whole, place = sound("bases"), folder / "base"
    shutil.copytree(whole, place)
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    file = files[int(rng.integers(len(files)))]
    mutant(whole / file, _damage(rng), place / file)
    return place


def read_base(place: Path) -> None:
    is_small(place)
    draw_with(open_base(place))


def single_file(rng: np.random.Generator, folder: Path) -> Path:
    whole = sound("single files")
    os.environ |= {"MIEN_ASSETS": str(whole), "HF_HUB_OFFLINE": "1"}
    return mutant(whole / "base.safetensors", _damage(rng), folder / "base.safetensors")


def checkpoint(rng: np.random.Generator, folder: Path) -> Path:
    for name in (FILE, PREVIOUS):
        shutil.copyfile(sound("checkpoints") / name, folder / name)
        if name == FILE or rng.random() < 0.5:
            mutant(sound("checkpoints") / name, _damage(rng), folder / name)
    return folder


def read_checkpoint(folder: Path) -> None:
    """The run goes on with one of the two states that were saved, not with anything between."""
    parameters, ema, optimizer = _run()
    counters = load_state(folder, parameters, ema, optimizer)
    assert counters is not None
    sound_parameters, sound_ema, sound_optimizer = _run()
    place = folder / "sound"
    place.mkdir()
    shutil.copyfile(sound("checkpoints") / (FILE if counters["seen"] == 2 else PREVIOUS), place / FILE)
    assert load_state(place, sound_parameters, sound_ema, sound_optimizer) == counters
    assert all(torch.equal(parameters[name], sound_parameters[name]) for name in parameters)


KINDS = {
    "adapters": Kind(adapter, read_adapter),
    "loras": Kind(lora, read_lora),
    "bases": Kind(base, read_base),
    "single files": Kind(single_file, open_base),
    "checkpoints": Kind(checkpoint, read_checkpoint),
}
