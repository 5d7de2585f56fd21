"""What a training step costs: the joint step against a plain one, the landmark module's against a ControlNet's.

Memory is what a step must hold on any device: tensors kept for the backward pass, gradients and the optimizer's two
averages of the trained parts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.bench import machine
from mien.bench.timing import ratio, take_turns
from mien.core.progress import Bar, silent
from mien.data.corpus import Corpus
from mien.pipelines.runs import runs_folder
from mien.training.disentanglement import SETTINGS
from mien.training.presets import preset
from mien.training.run import build_objective

ROWS = 16
"""Rows of the UNet in a step, on both sides."""
Batch = dict[str, Tensor]


class Side:
    """One of two kinds of training step: an objective of a preset, its optimizer and a batch that stays the same."""

    def __init__(self, name: str, corpus: Corpus, size: int, **options: Any) -> None:
        config = preset(name)
        config = config.model_copy(update={"options": {**config.options, **options}})
        self.name = name
        self.objective = build_objective(config, runs_folder())
        self.objective.prepare(corpus, runs_folder() / name)
        self.batch: Batch = self.objective.batch(corpus, np.random.default_rng(0), size)
        self.optimizer = torch.optim.AdamW(self.objective.trained().values(), lr=1e-6, fused=True)

    def step(self) -> None:
        """Forward, backward and update under bf16, as `mien train` does."""
        self._loss().backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _loss(self) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.objective(self.batch, torch.Generator().manual_seed(0))[0]

    def megabytes(self) -> float:
        """Memory of a step, see the module."""
        kept: dict[int, int] = {}
        weights = {p.untyped_storage().data_ptr() for p in self.objective.parameters()}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = self._loss()
            total = sum(kept.values())
            loss.backward()
        self.optimizer.zero_grad(set_to_none=True)
        trained = sum(p.numel() * p.element_size() for p in self.objective.trained().values())
        return (total + 3 * trained) / 2**20


def joint(corpus: Corpus) -> tuple[Side, Side]:
    """The joint step and the same objective's plain step: each row computed by itself, without the AD loss."""
    samples = ROWS // len(SETTINGS)
    shared = Side("studio-joint", corpus, samples, replicas=16)
    plain = Side("studio-joint", corpus, samples, replicas=len(SETTINGS), ad=0.0, noise="independent")
    plain.batch = shared.batch | {"counts": torch.ones_like(shared.batch["counts"])}
    return shared, plain


def module(corpus: Corpus) -> tuple[Side, Side]:
    """A ControlNet's step and the landmark module's: above 1 the module is the faster."""
    controlnet = Side("studio-controlnet", corpus, ROWS)
    landmarks = Side("studio-pretrained-landmarks", corpus, ROWS)
    landmarks.batch = controlnet.batch
    return controlnet, landmarks


PARTS: dict[str, tuple[str, str, Callable[[Corpus], tuple[Side, Side]]]] = {
    "joint_against_plain": ("joint step", "plain step", joint),
    "controlnet_against_landmarks": ("ControlNet step", "landmark step", module),
}
"""Name -> what is held against what, and how both are made."""


def bench_training(data: Path, rounds: int = 40, bar: Bar = silent) -> dict[str, Any]:
    """Train both sides of each of `PARTS` in turns.

    Args:
        data: a rendered set.
        rounds: steps of each side that count.
        bar: makes progress bars.

    Returns:
        The report, as JSON: for each part its ratio, and seconds and megabytes of both sides.

    Raises:
        MienError: if the data or the weights that a preset starts from are missing.
    """
    described, corpus = machine.describe("cpu", "bfloat16"), Corpus.load(data)
    parts = {}
    for name, (one, other, make) in PARTS.items():
        sides = dict(zip((one, other), make(corpus), strict=True))
        with bar((rounds + 1) * 2, name.replace("_", " ")) as advance:
            timings = take_turns({key: side.step for key, side in sides.items()}, rounds, advance=advance)
        parts[name] = {
            "of": one,
            "to": other,
            "ratio": ratio(timings[one], timings[other]),
            "rows": ROWS,
            "sides": {
                key: timings[key].as_json() | {"megabytes": round(side.megabytes(), 1)} for key, side in sides.items()
            },
        }
    return {"bench": "training", "machine": described, "parts": parts}
