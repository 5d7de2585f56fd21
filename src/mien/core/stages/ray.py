"""Tasks on a Ray cluster: Ray Data places them, starts workers anew on other machines, and sends lost tasks again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.optional import require
from mien.core.stages.stage import Stage
from mien.core.stages.trial import run_task
from mien.errors import MienError


class _Worker:
    """What Ray keeps alive in each of its processes."""

    def __init__(self, stage: Stage, place: Path, environment: Mapping[str, str]) -> None:
        os.chdir(place)  # paths may start where the command was typed
        os.environ.update(environment)
        self._stage, self._process = stage, stage.setup()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """Do the tasks of a batch."""
        for task in batch["task"]:
            run_task(self._stage, self._process, int(task))
        return {"size": np.array([self._stage.size(int(task)) for task in batch["task"]])}


def run_ray(stage: Stage, tasks: Sequence[int], workers: int | None, advance: Callable[[int], object]) -> None:
    """Do tasks on the cluster that ``RAY_ADDRESS`` names, or on one of this machine's own.

    Args:
        stage: the stage; all machines see its folder, and the one that is worked in, under the same paths.
        tasks: numbers of tasks that are not done.
        workers: at most so many at once; None: as many as the cluster has room for.
        advance: called with the number of samples done since the last call.

    Raises:
        MissingDependency: without Ray.
        MienError: if tasks are left undone.
    """
    if not tasks:
        return
    ray = require("ray", extra="ray")
    data = require("ray.data", extra="ray")
    environment = {name: value for name, value in os.environ.items() if name.startswith("MIEN_")}
    ours = not ray.is_initialized()
    if ours:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        data.DataContext.get_current().enable_progress_bars = False
        gpus = stage.resources.gpus if ray.cluster_resources().get("GPU") else 0
        rows = data.from_items([{"task": task} for task in tasks], override_num_blocks=len(tasks))
        done = rows.map_batches(
            _Worker, fn_constructor_args=(stage, Path.cwd(), environment), batch_size=1,
            concurrency=(1, workers or len(tasks)), num_cpus=stage.resources.cpus, num_gpus=gpus or None,
        )  # fmt: skip
        try:
            for row in done.iter_rows():
                advance(int(row["size"]))
        except Exception as error:
            raise MienError(f"{stage.name.capitalize()} failed on Ray: {_last_line(error)}") from error
    finally:
        if ours:
            ray.shutdown()
    left = [task for task in tasks if not stage.is_done(task)]
    if left:
        raise MienError(f"{len(left)} tasks of {stage.name} are not done: run the same command again.")


def _last_line(error: Exception) -> str:
    """Ray's errors are whole traces; the last line says what happened."""
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
