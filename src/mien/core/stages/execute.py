"""Carrying a stage out: here, in static parts on machines that know nothing of each other, or on a Ray cluster."""

from __future__ import annotations

import re
import shutil
from typing import Literal

from mien.core.processes import available_cores, available_gpus
from mien.core.progress import Bar, silent
from mien.core.stages.local import run_local
from mien.core.stages.stage import Resources, Stage
from mien.core.stages.trial import tell_of_done
from mien.errors import BadInput, MienError

Executor = Literal["local", "ray"]
EXECUTORS: tuple[Executor, ...] = ("local", "ray")


def parse_part(text: str | None) -> tuple[int, int] | None:
    """``2/8`` -> (2, 8): the second of eight parts.

    Raises:
        BadInput: if it says something else.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    index, of = (int(one) for one in found.groups()) if found else (0, 0)
    if not 1 <= index <= of:
        raise BadInput(f"--part {text} is no part: write it as 2/8, the second of eight.")
    return index, of


def usual_workers(resources: Resources) -> int:
    """Processes of this machine that a stage takes where nobody says how many.

    As many as its GPUs have room for. Without a GPU, one for a stage whose worker fills a GPU, for then it fills the
    cores; else one a core.
    """
    share, cores = resources.gpus, available_cores()
    gpus = available_gpus() if share else 0
    if gpus:
        return max(1, min(cores, int(gpus / share)))
    return 1 if share >= 1 else cores


def execute(
    stage: Stage,
    *,
    executor: str = "local",
    workers: int | None = None,
    part: tuple[int, int] | None = None,
    finish_only: bool = False,
    bar: Bar = silent,
) -> bool:
    """Do a stage's tasks that are not done, and finish it where all are.

    Args:
        stage: the stage.
        executor: ``local``: processes of this machine; ``ray``.
        workers: processes; None: see :func:`usual_workers`, or as many as the cluster has room for.
        part: (i, n): every n-th task from the i-th on, and nothing else; another call finishes.
        finish_only: do no task; finish what the parts have done.
        bar: makes a progress bar; what was done before counts at once.

    Returns:
        Whether the stage is finished.

    Raises:
        BadInput: for an executor that there is none of.
        MienError: if tasks fail, or the stage cannot be finished because some are not done.
    """
    if executor not in EXECUTORS:
        raise BadInput(f"There is no executor '{executor}': choose {' or '.join(EXECUTORS)}.")
    tasks = range(stage.count)
    if part is not None:
        tasks = tasks[part[0] - 1 :: part[1]]
    todo = [task for task in tasks if not stage.is_done(task)]
    if not finish_only:
        with bar(sum(stage.size(task) for task in tasks), stage.name) as advance:
            advance(sum(stage.size(task) for task in tasks) - sum(stage.size(task) for task in todo))
            if executor == "ray":
                from mien.core.stages.ray import run_ray

                run_ray(stage, todo, workers, advance)
            else:
                run_local(stage, todo, workers or usual_workers(stage.resources), advance)
        if part is not None:
            return False
    elif todo:
        raise MienError(
            f"{len(todo)} of {stage.count} tasks of {stage.name} in {stage.folder} are not done: run the parts first."
        )
    tell_of_done(stage)
    stage.finish()
    shutil.rmtree(stage.state, ignore_errors=True)
    return True
