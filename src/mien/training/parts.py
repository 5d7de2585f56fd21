"""A step's batch in equal parts: one for each process, and for each pass where gradients are accumulated.

Every process draws which rows the whole batch shows and takes its own, and noise is drawn for the whole batch too, so
that the losses and gradients of a step are the same in however many parts it is computed. What an objective draws
otherwise (damage to pictures, crops) comes from a generator of the part's own, and what it measures over a batch (the
mean of weights, batch statistics, contrasts) it measures over the part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mien.errors import ConfigError

ROW = "row"
"""Entry of a batch that says which rows of the corpus it shows; no objective reads it."""


class Part(NamedTuple):
    """One of the parts of a batch.

    Attributes:
        number: which one, from 0.
        of: how many there are.
    """

    number: int
    of: int

    def rows(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The part of a whole batch; every entry has as many rows as the batch, or a multiple."""
        if self.of == 1:
            return dict(batch)
        return {name: values.chunk(self.of)[self.number] for name, values in batch.items()}

    def of_rows(self, values: np.ndarray) -> np.ndarray:
        """The part of an array [B, ...] with a row for each example."""
        return np.split(values, self.of)[self.number]


class PartGenerator(torch.Generator):
    """What a part draws from: a generator of its own, and one that all parts of the step have.

    Attributes:
        part: which part.
        whole: the same in all parts; with a single part this is the generator itself.
    """

    part: Part
    whole: torch.Generator


def step_generators(
    seed: int, step: int, part: Part, device: torch.device
) -> tuple[np.random.Generator, PartGenerator]:
    """What chooses the rows of a step's whole batch, and what the part draws noise from.

    Args:
        seed: of the run.
        step: number of the step.
        part: of the batch.
        device: where noise is drawn.
    """
    rng = np.random.default_rng([seed, step, 0])
    shared = int(rng.integers(2**62))
    own = PartGenerator(device)
    own.part, own.whole = part, own
    if part.of == 1:
        own.manual_seed(shared)
        return rng, own
    own.manual_seed(int(np.random.default_rng([seed, step, 1, part.number, part.of]).integers(2**62)))
    own.whole = torch.Generator(device).manual_seed(shared)
    return rng, own


def rows_of(draw: Callable[[int, torch.Generator], Tensor], count: int, generator: torch.Generator) -> Tensor:
    """Random rows of a part, which the whole batch has in the same places.

    Args:
        draw: (number of rows, generator) -> rows [N, ...].
        count: rows of the part.
        generator: the part's; any other generator draws ``count`` rows.
    """
    if not isinstance(generator, PartGenerator) or generator.part.of == 1:
        return draw(count, generator)
    index, of = generator.part
    return draw(count * of, generator.whole)[index * count : (index + 1) * count]


def apart(generator: torch.Generator) -> torch.Generator:
    """What a part draws from where its rows are not those of the whole batch: always its own."""
    if not isinstance(generator, PartGenerator) or generator.part.of == 1:
        return generator
    return torch.Generator(generator.device).manual_seed(generator.initial_seed())


def parts_of(global_batch: int, processes: int, accumulate: int) -> int:
    """In how many parts a batch is computed.

    Raises:
        ConfigError: if it does not divide.
    """
    of = processes * accumulate
    if global_batch % of:
        step = f"{processes} process{'es' * (processes > 1)} and {accumulate} part{'s' * (accumulate > 1)} in each"
        near = max(of, round(global_batch / of) * of)
        raise ConfigError(
            f"A batch of {global_batch} does not divide among {step}: set global_batch to {near}, or accumulate to "
            "another number."
        )
    return of
