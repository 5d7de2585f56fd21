"""Steps that would harm the weights: a loss or gradient that is not finite, or a loss far above the usual."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mien.core.log import append_line
from mien.data.schema import sample_key
from mien.errors import MienError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from torch import nn

    from mien.data.corpus import Corpus
    from mien.training.config import TrainConfig

SKIPPED = "skipped.jsonl"
"""Of a run: a line for each step that was skipped, with what its batch showed."""
WINDOW = 100
"""Steps of which some may be skipped before a run stops."""
SETTLED = 200
"""Steps before the usual loss says something."""


class DivergedRun(MienError):
    """A run whose steps would harm its weights; what it was before them is saved."""


def complaint(config: TrainConfig, step: int, loss: float, usual: float | None, norm: float) -> str | None:
    """Why a step should not be made; None where nothing is wrong.

    Args:
        config: of the run.
        step: number of the step.
        loss: of the whole batch.
        usual: running mean of the loss.
        norm: of the gradient.
    """
    if not math.isfinite(loss):
        return f"its loss is {loss}"
    if not math.isfinite(norm):
        return f"the norm of its gradient is {norm}"
    if config.loss_spike is None or usual is None or step < SETTLED or usual <= 0:
        return None
    return f"its loss is {loss / usual:.0f} times the usual" if loss > config.loss_spike * usual else None


def keys_of(corpus: Corpus | None, rows: np.ndarray | None) -> list[str]:
    """What the pictures of rows are called in their shards."""
    if corpus is None or rows is None:
        return []
    pairs = zip(corpus["person"][rows].tolist(), corpus["picture"][rows].tolist(), strict=True)
    return [sample_key(person, picture) for person, picture in pairs]


def note_skipped(folder: Path, counters: dict[str, Any], reason: str, rows: np.ndarray | None, keys: list[str]) -> None:
    """Write down a step that was skipped; ``counters["skipped"]`` keeps the numbers of the last ones."""
    counters["skipped"] = [step for step in counters.get("skipped", []) if step > counters["step"] - WINDOW]
    counters["skipped"].append(counters["step"])
    said = {"step": counters["step"], "seen": counters["seen"], "reason": reason, "keys": keys}
    append_line(folder / SKIPPED, said | {"rows": [] if rows is None else rows.tolist()})


def check_skipped(folder: Path, config: TrainConfig, counters: Mapping[str, Any], reason: str) -> None:
    """Stop a run that skips too much.

    Raises:
        DivergedRun: naming the file with the pictures.
    """
    if len(counters["skipped"]) > config.max_skipped:
        raise DivergedRun(
            f"{config.name} diverges: {len(counters['skipped'])} of its last {WINDOW} steps were skipped, the last one "
            f"because {reason}. Their pictures are in {folder / SKIPPED}: look at them, lower lr or raise max_skipped. "
            "The weights before those steps are saved."
        )


@torch.no_grad()
def check_finite(parameters: Mapping[str, nn.Parameter], folder: Path) -> None:
    """Refuse to export weights that are not finite.

    Raises:
        DivergedRun: naming the first.
    """
    for name, parameter in parameters.items():
        if not bool(torch.isfinite(parameter).all()):
            raise DivergedRun(
                f"{name} holds values that are not finite, so nothing is exported: begin {folder} anew with a lower lr."
            )
