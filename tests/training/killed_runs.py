"""Tiny runs of training that are killed at chosen points of their writing; a script, so that it forks without threads.

    python -m tests.training.killed_runs FOLDER KILLS SEED      # prints what was done, as JSON

A point is a call that reads or changes a file, or a step. A killed save has written half of its bytes.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.core import weights
from mien.training import loop, state
from mien.training.config import TrainConfig
from mien.training.export import save_branch, save_half
from mien.training.loop import fit
from mien.training.objective import Logs, Objective
from tests.tiny import tiny_branch, tiny_unet

CONFIG = TrainConfig(
    name="emotion", objective="none:none", pictures=12, batch=2, lr=0.01, warmup_images=4, precision="no", log_every=1,
    checkpoint_minutes=0.0,
)  # fmt: skip


class Emotion(Objective):
    """An emotion branch, of which the encoder is trained, exported as the stages export theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = tiny_unet().requires_grad_(False)
        self.branch = tiny_branch(self.unet, "emotion").requires_grad_(True)

    def batch(self, corpus: Any, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """See the base class."""
        return {"x": torch.from_numpy(rng.normal(size=(size, 10))).float()}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the base class."""
        tokens = self.branch.encode(batch["x"])
        values = [pair.to_v(tokens).pow(2).mean() for pair in self.branch.projections().values()]
        noise = torch.randn(tokens.shape, generator=generator)
        return (tokens - noise).pow(2).mean() + torch.stack(values).mean(), {}

    def export(self, folder: Path) -> None:
        """See the base class."""
        save_branch(self.branch, folder, "emotion")
        save_half(self.unet, folder / "unet")


class Points:
    """Counts the points of a run, and kills it at one.

    Args:
        deadly: number of the point.
    """

    def __init__(self, deadly: int | None) -> None:
        self.deadly, self.count = deadly, 0

    def pass_(self, last_act: Callable[[], Any] = lambda: None) -> None:
        """One point; ``last_act`` is what a killed process has done of it."""
        self.count += 1
        if self.count == self.deadly:
            last_act()
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, owner: Any, name: str) -> None:
        """A point before each call of a function."""
        original = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            self.pass_()
            return original(*arguments, **options)

        setattr(owner, name, watched)

    def within(self, owner: Any, name: str) -> None:
        """A point within each save of safetensors to a path, which is the second argument."""
        original = getattr(owner, name)

        def watched(tensors: Any, path: Any, *arguments: Any, **options: Any) -> Any:
            original(tensors, path, *arguments, **options)
            self.pass_(lambda: os.truncate(path, Path(path).stat().st_size // 2))

        setattr(owner, name, watched)


def run(folder: Path, deadly: int | None) -> int:
    """One run, or its continuation; the number of its points."""
    import safetensors.torch

    points = Points(deadly)
    points.before(Path, "replace")
    points.before(Path, "hardlink_to")
    points.before(Path, "unlink")
    points.before(loop, "append_line")
    points.before(state.PowerEMA, "update")
    points.within(state, "save_file")
    points.within(safetensors.torch, "save_file")
    points.before(weights, "order_metadata")
    torch.manual_seed(0)
    fit(CONFIG, Emotion(), None, folder)  # type: ignore[arg-type]
    return points.count


def forked(folder: Path, deadly: int | None = None) -> int | None:
    """A run in a process of its own; the number of its points, None where it was killed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            (folder.parent / f"{folder.name}.points").write_text(str(run(folder, deadly)))
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    if status:
        raise RuntimeError(f"a run ended with {status}")
    return int((folder.parent / f"{folder.name}.points").read_text())


def main() -> None:
    """An unbroken run, and one killed again and again, each time at another point."""
    folder, kills, dice = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    whole = forked(folder / "whole")
    assert whole is not None
    killed = []
    for number in range(kills):
        place = folder / f"broken-{number}"
        deadly = dice.randrange(1, whole + 1)
        first = forked(place, deadly)
        second = forked(place, dice.randrange(1, 40))  # and its continuation
        forked(place)
        killed.append([deadly, first is None, second is None])
    sys.stdout.write(json.dumps({"points": whole, "killed": killed}) + "\n")


if __name__ == "__main__":
    main()
