"""A stage that is quick: numbers from seeds, some of which fail or take their process with them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from mien.core.io import write_text
from mien.core.stages.stage import Process, Stage
from mien.core.stages.trial import Trial

PER_TASK = 4


@dataclass
class Doubling(Stage):
    """Writes a file of a few numbers a task."""

    name: ClassVar[str] = "doubling"

    folder: Path
    tasks: int = 5
    fails: tuple[int, ...] = ()
    kills: tuple[int, ...] = ()
    kills_once: tuple[int, ...] = ()
    slow: float = 0.0

    @property
    def count(self) -> int:
        """See the base class."""
        return self.tasks

    def inputs(self) -> Sequence[Path]:
        """None."""
        return ()

    def outputs(self, task: int) -> Sequence[Path]:
        """A file a task."""
        return (self.folder / f"{task}.txt",)

    def size(self, task: int) -> int:
        """See the base class."""
        return PER_TASK

    def setup(self) -> Process:
        """See the base class."""
        return self._process

    def finish(self) -> None:
        """All numbers in one file."""
        write_text(self.folder / "all.txt", "".join((self.folder / f"{n}.txt").read_text() for n in range(self.tasks)))

    def _process(self, task: int, trial: Trial) -> None:
        import time

        lines = []
        for sample in range(task * PER_TASK, (task + 1) * PER_TASK):
            with trial.sample(f"s{sample}") as wanted:
                if not wanted:
                    continue
                time.sleep(self.slow)
                if sample in self.fails:
                    raise ValueError("a bad sample")
                once = self.folder / f".killed-{sample}"
                if sample in self.kills or (sample in self.kills_once and not once.exists()):
                    once.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                lines.append(f"{sample} {np.random.default_rng([7, sample]).integers(1000)}\n")
            trial.advance(1)
        write_text(self.folder / f"{task}.txt", "".join(lines))
