"""What is measured while a run goes on, with the averaged weights in place: gaps, the best checkpoint, pictures."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.core.io import atomic_path
from mien.training.precision import frozen_type
from mien.training.proof import evaluating, gaps_of, is_due
from mien.training.state import keep_best

if TYPE_CHECKING:
    from mien.training.loop import TrainingRun
    from mien.training.objective import Logs

GRID = "grid"
"""Folder of a run with its pictures, by how many it had seen."""


def score_of(logs: Logs) -> float | None:
    """What checkpoints are compared by, lower is better: the mean error with the right conditions; None without."""
    errors = [value for name, value in logs.items() if name.startswith("right_")]
    return float(np.mean(errors)) if errors else None


class Measured:
    """Measures a run now and then; the main process alone, while the others wait for its next step.

    Args:
        run: the run.
    """

    def __init__(self, run: TrainingRun) -> None:
        self._run = run

    def precision(self) -> AbstractContextManager[object]:
        """What the weights are to be evaluated in: as they are, or where frozen ones are held in it, the run's."""
        run = self._run
        halved = frozen_type(run.config, run.accelerator.device) is not None
        return run.accelerator.autocast() if halved else nullcontext()

    def before_step(self) -> None:
        """Before the first step and when it is due."""
        run = self._run
        counters, objective = run.counters, run.objective
        if not run.is_main or run.corpus is None or run.corpus.held_out is None:
            return
        if not is_due(run.config, counters["seen"], counters["gaps"]):
            return
        run.ema.swap(run.parameters)
        with evaluating(objective), self.precision():
            found = objective.gaps(run.corpus)
            self.draw_grid()
        run.ema.swap(run.parameters)
        counters["gaps"].append({"seen": counters["seen"], **gaps_of(found)})
        if found:
            run.note(run.seconds(), {"gaps": {name: round(float(value), 5) for name, value in found.items()}})
            run.trackers.log({f"gaps/{name}": float(value) for name, value in found.items()}, counters["step"])
        self._keep_if_best(found)

    def _keep_if_best(self, found: Logs) -> None:
        run, score = self._run, score_of(found)
        best = run.counters.get("best")
        if score is None or run.counters["step"] == 0 or (best is not None and score >= best["score"]):
            return
        run.counters["best"] = {"seen": run.counters["seen"], "score": score}
        run.checkpoint()
        keep_best(run.folder)

    def draw_grid(self) -> None:
        """Draw the fixed pictures into the run's folder."""
        from mien.training.grid import picture_grid

        run = self._run
        picture = picture_grid(run.objective, run.corpus, run.config.grid)
        if picture is None:
            return
        with atomic_path(run.folder / GRID / f"{run.counters['seen']:010d}.png") as temporary:
            Image.fromarray(picture).save(temporary)
        run.trackers.picture(GRID, picture, run.counters["step"])
