"""Two processes with one command in one folder; a script, so that it forks without threads.

    python -m tests.together TASK FOLDER SEED       # prints what each of the two refused with, as JSON

Both pause for a moment at points of their writing, those of `tests.killing`, so that they meet in many places.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mien.errors import MienError
from tests.killed_tasks import TASKS
from tests.killing import Points, forked, watch

PAUSE = 0.03
"""The longest, in seconds."""


def hesitating(task: Callable[[Path], Any], folder: Path, seed: int) -> tuple[int, int]:
    """Start a command that hesitates while it writes; its process, and where it tells what it refused with."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    status = 1
    try:
        dice = random.Random(seed)
        Points.pass_ = lambda *_: time.sleep(PAUSE * dice.random())  # type: ignore[method-assign, assignment]
        watch(None)
        try:
            task(folder)
        except MienError as error:
            os.write(writing, str(error).encode())
        status = 0
    except BaseException:
        logging.getLogger(__name__).critical("the command failed", exc_info=True)
    finally:
        os._exit(status)


def main() -> None:
    """A command alone, then twice at once, then once more."""
    task, folder, seed = TASKS[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    forked(task, folder / "first")  # which makes what the command reads
    forked(task, folder / "whole")
    both = [hesitating(task, folder / "both", 2 * seed + number) for number in range(2)]
    told = []
    for child, reading in both:
        with os.fdopen(reading, "rb") as stream:
            told.append(stream.read().decode())
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("a command beside another failed")
    forked(task, folder / "both")
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
