"""The batches of a run, in the order of its steps whoever makes them.

A batch follows from (seed, step) alone, so processes that make batches ahead change nothing, and a run that goes on
at a step sees what an unbroken one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mien.training.features import KEPT_SIZE
from mien.training.interrupts import ignore_interrupts
from mien.training.parts import Part, PartGenerator, step_generators

if TYPE_CHECKING:
    from collections.abc import Generator

    from mien.data.corpus import Corpus
    from mien.training.config import TrainConfig
    from mien.training.objective import Objective

PREFETCH = 2
"""Batches that each process makes ahead."""
GPU_WORKERS = 2
"""Processes that make batches beside each one that computes on a GPU, where the run says nothing else."""


def usual_workers(corpus: Corpus | None, device: torch.device) -> int:
    """How many processes make batches where the run says nothing: some beside a GPU, but not for small pictures.

    What batches of small ones are drawn from lies in the GPU's memory, where no other process could gather it.
    """
    if device.type != "cuda" or corpus is None:
        return 0
    return GPU_WORKERS if corpus["images"].shape[1] > KEPT_SIZE else 0


@dataclass(frozen=True, eq=False)
class StepBatch:
    """What one process computes in a step.

    Attributes:
        parts: (batch, what noise is drawn from), one for each pass.
        rows: of the corpus that the whole batch shows [B], where the objective says so.
    """

    parts: list[tuple[dict[str, Tensor], PartGenerator]]
    rows: np.ndarray | None


class _Steps(Dataset):
    """Step -> the parts of its batch that this process computes, and the rows of all."""

    def __init__(self, config: TrainConfig, objective: Objective, corpus: Corpus, parts: list[Part]) -> None:
        self._config, self._objective, self._corpus, self._parts = config, objective, corpus, parts

    def __getitem__(self, step: int) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        rng, _ = step_generators(self._config.seed, step, self._parts[0], torch.device("cpu"))
        return self._objective.batch_parts(self._corpus, rng, self._config.global_batch, self._parts)

    def __len__(self) -> int:
        return self._config.pictures // self._config.global_batch + 1


class Loader:
    """Makes the batches of one process.

    Args:
        config: of the run.
        objective: draws them.
        corpus: what they are drawn from.
        process: number of this process.
        of: number of parts of a step's batch.
        device: where batches are wanted.
    """

    def __init__(
        self, config: TrainConfig, objective: Objective, corpus: Corpus, process: int, of: int, device: torch.device
    ) -> None:
        self._config, self._device = config, device
        self._parts = [Part(process * config.accumulate + number, of) for number in range(config.accumulate)]
        self._steps = _Steps(config, objective, corpus, self._parts)
        self._workers = usual_workers(corpus, device) if config.workers is None else config.workers
        if corpus is not None:
            corpus.on_device = self._workers == 0

    def batches(self, step: int, pictures: int) -> Generator[StepBatch]:
        """The batches of the steps from ``step`` on, until so many pictures are seen."""
        last = step + -(-max(pictures, 0) // self._config.global_batch)
        made = self._made(range(step, last))
        try:
            for number, (parts, rows) in zip(range(step, last), made, strict=True):
                found = []
                for part, values in zip(self._parts, parts, strict=True):
                    _, generator = step_generators(self._config.seed, number, part, self._device)
                    here = {name: value.to(self._device, non_blocking=True) for name, value in values.items()}
                    found.append((here, generator))
                yield StepBatch(found, None if rows is None else rows.numpy())
        finally:
            del made  # ends the processes

    def _made(self, steps: range) -> Iterator[tuple[list[dict[str, Tensor]], Tensor | None]]:
        if not self._workers:
            return (self._steps[step] for step in steps)
        return iter(
            DataLoader(
                self._steps,
                batch_size=None,
                sampler=steps,
                num_workers=self._workers,
                prefetch_factor=PREFETCH,
                pin_memory=self._device.type == "cuda",
                worker_init_fn=_begin,
            )
        )


def _begin(_number: int) -> None:
    ignore_interrupts()
