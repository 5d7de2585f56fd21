"""What a training step costs: the joint step against a plain one, the landmark module's against a ControlNet's.

    python benchmarks/train_steps.py --data RENDERS     # writes benchmarks/results/train_steps.json

Steps of both sides alternate in one process, so that a busy machine slows both. Memory is what a step must hold on any
device: tensors kept for the backward pass, gradients and the optimizer's two averages of the trained parts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

from mien.data.corpus import Corpus
from mien.io import write_json
from mien.training.disentanglement import SETTINGS
from mien.training.presets import preset
from mien.training.run import build_objective, runs_folder

RESULT = Path(__file__).parent / "results" / "train_steps.json"
ROWS = 16
Batch = dict[str, Tensor]


class Side:
    """One of two kinds of training step: an objective of a preset, its optimizer and a batch that stays the same."""

    def __init__(self, name: str, corpus: Corpus, size: int, **options: Any) -> None:
        config = preset(name)
        config = config.model_copy(update={"options": {**config.options, **options}})
        self.objective = build_objective(config, runs_folder())
        self.objective.prepare(corpus, runs_folder() / name)
        self.batch: Batch = self.objective.batch(corpus, np.random.default_rng(0), size)
        self.optimizer = torch.optim.AdamW(self.objective.trained().values(), lr=1e-6, fused=True)
        self.seconds: list[float] = []

    def step(self) -> None:
        """Forward, backward and update under bf16, as `mien train` does."""
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss, _ = self.objective(self.batch, torch.Generator().manual_seed(0))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.seconds.append(time.perf_counter() - start)

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
            with torch.autocast("cpu", torch.bfloat16):
                loss, _ = self.objective(self.batch, torch.Generator().manual_seed(0))
            total = sum(kept.values())
            loss.backward()
        self.optimizer.zero_grad(set_to_none=True)
        trained = sum(p.numel() * p.element_size() for p in self.objective.trained().values())
        return (total + 3 * trained) / 2**20


def against(one: Side, other: Side, steps: int) -> list[float]:
    """Ratios of the seconds of steps taken in turns, the first left out."""
    for _ in range(steps + 1):
        one.step()
        other.step()
    return [a / b for a, b in zip(one.seconds[1:], other.seconds[1:], strict=True)]


def told(ratios: list[float], one: Side, other: Side) -> dict[str, Any]:
    """Median and spread of the ratios, and the medians behind them."""
    return {
        "ratio": round(statistics.median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
        "steps": len(ratios),
        "rows": ROWS,
        "seconds": [round(statistics.median(side.seconds[1:]), 3) for side in (one, other)],
        "megabytes": [round(side.megabytes(), 1) for side in (one, other)],
    }


def joint(corpus: Corpus, steps: int) -> dict[str, Any]:
    """The joint step against the same objective's plain step: each row computed by itself, without the AD loss."""
    samples = ROWS // len(SETTINGS)
    shared = Side("studio-joint", corpus, 16 * samples, replicas=16)
    plain = Side("studio-joint", corpus, ROWS, replicas=len(SETTINGS), ad=0.0, noise="independent")
    plain.batch = shared.batch | {"counts": torch.ones_like(shared.batch["counts"])}
    return told(against(shared, plain, steps), shared, plain)


def module(corpus: Corpus, steps: int) -> dict[str, Any]:
    """A ControlNet's step against the landmark module's: above 1 the module is the faster."""
    controlnet = Side("studio-controlnet", corpus, ROWS)
    landmarks = Side("studio-pretrained-landmarks", corpus, ROWS)
    landmarks.batch = controlnet.batch
    return told(against(controlnet, landmarks, steps), controlnet, landmarks)


PARTS: dict[str, Callable[[Corpus, int], dict[str, Any]]] = {
    "joint_against_plain": joint,
    "controlnet_against_landmarks": module,
}


def main(
    data: Annotated[Path, typer.Option(help="A rendered set.")],
    steps: Annotated[int, typer.Option(help="Steps of each side.")] = 40,
    threads: int = 1,
) -> None:
    """Measure, and write the result."""
    torch.set_num_threads(threads)
    corpus = Corpus.load(data)
    write_json(RESULT, {name: part(corpus, steps) for name, part in PARTS.items()} | {"threads": threads})
    typer.echo(RESULT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    typer.run(main)
