"""Whether a model follows its conditions: its errors on held-out pictures with the right and with shuffled ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mien.training.batches import spread_rows
from mien.training.diffusion import errors_by_timestep

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.diffusion.schedulers import TrainingScheduler
    from mien.training.objective import Logs

Predict = Callable[[dict[str, Tensor], Tensor, Tensor], Tensor]
"""(batch, noisy latents, timesteps) -> output of the UNet."""


ROWS = 32
"""Held-out pictures that a model sees at once."""


class HeldOutRows(NamedTuple):
    """Rows of a corpus of people never trained on; the same at every call.

    Attributes:
        rows: [B].
        other: another picture of the same person, [B].
        order: a permutation of B, which gives each row the condition of another.
    """

    rows: np.ndarray
    other: np.ndarray
    order: np.ndarray


def held_out_rows(held_out: Corpus, count: int) -> HeldOutRows:
    """``count`` rows spread evenly over a corpus, or all where there are fewer."""
    rng, rows = np.random.default_rng(0), spread_rows(len(held_out), count)
    return HeldOutRows(rows, held_out.same_person(rows, rng), rng.permutation(len(rows)))


def right_and_shuffled(
    scheduler: TrainingScheduler,
    predict: Predict,
    batch: dict[str, Tensor],
    order: np.ndarray,
    shuffled: Mapping[str, str],
    right: str = "right",
) -> Logs:
    """Squared errors by timestep with the right conditions and with each of some shuffled.

    Args:
        scheduler: with its prediction type.
        predict: the model.
        batch: held-out pictures with their conditions, where the model is.
        order: see :class:`HeldOutRows`.
        shuffled: label with the word ``shuffled`` -> entry of the batch that is given in another order.
        right: label of the errors with the right conditions.

    Returns:
        ``LABEL_TIMESTEP`` -> error; and for each of ``shuffled``, with ``gap`` in the place of that word, how much
        larger the error is with the wrong conditions, as a share of the error with the right ones: 0 says that the
        model does not heed the condition.
    """
    logs: Logs = {}
    means: dict[str, float] = {}
    for label, key in ((right, None), *shuffled.items()):
        given = batch if key is None else batch | {key: batch[key][torch.from_numpy(order)]}
        errors = errors_by_timestep(scheduler, batch["latents"], partial(_in_parts, predict, given))
        logs |= {f"{label}_{step}": error for step, error in errors.items()}
        means[label] = float(np.mean(list(errors.values())))
    return logs | {label.replace("shuffled", "gap"): means[label] / max(means[right], 1e-12) - 1 for label in shuffled}


def _in_parts(predict: Predict, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
    """What the model says of a batch, of `ROWS` of it at once: memory does not grow with what is held out."""
    starts = range(0, len(noised), ROWS)
    parts = [
        predict({name: values[at : at + ROWS] for name, values in batch.items()}, noised[at : at + ROWS],
                timesteps[at : at + ROWS])
        for at in starts
    ]  # fmt: skip
    return parts[0] if len(parts) == 1 else torch.cat(parts)
