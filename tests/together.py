"""Two processes with one command in one folder; a script, so that it forks without threads.

    python -m tests.together TASK FOLDER SEED       # prints what each of the two refused with, as JSON

Both pause for a moment at points of their writing, those of `tests.killing`, so that they meet in many places.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import time
from functools import partial
from pathlib import Path

import torch

from tests.killed_tasks import TASKS
from tests.killing import Points, begun, forked, watch

PAUSE = 0.03
"""The longest, in seconds."""


def hesitate(seed: int) -> None:
    """From here on this process pauses at its points."""
    dice = random.Random(seed)
    Points.pass_ = lambda *_: time.sleep(PAUSE * dice.random())  # type: ignore[method-assign, assignment]
    watch(None)


def main() -> None:
    """A command alone, then twice at once, then once more."""
    task, folder, seed = TASKS[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    forked(task, folder / "first")  # which makes what the command reads
    forked(task, folder / "whole")
    both = [begun(task, folder / "both", partial(hesitate, 2 * seed + number)) for number in range(2)]
    told = [ended() for ended in both]
    forked(task, folder / "both")
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
