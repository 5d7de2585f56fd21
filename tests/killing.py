"""Commands killed with -9 at chosen points of their writing; a script, so that it forks without threads.

    python -m tests.killing TASK FOLDER KILLS SEED      # prints what was done, as JSON; 0 kills fill the disk instead

A point is a call that changes a file, or a step. A killed write has written half of its bytes.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mien.errors import MienError
from tests.killed_tasks import TASKS


class Points:
    """Counts the points of a process, and kills it at one.

    Args:
        deadly: number of the point; None kills nothing.
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

    def within(self, owner: Any, name: str, place: int) -> None:
        """A point within each write to a path, which is the argument of number ``place``."""
        original = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            found, path = original(*arguments, **options), Path(arguments[place])
            self.pass_(lambda: os.truncate(path, path.stat().st_size // 2))
            return found

        setattr(owner, name, watched)


def watch(deadly: int | None) -> Points:
    """Points at everything that this process writes."""
    import tarfile

    import safetensors.numpy
    import safetensors.torch

    from mien.core import caches, weights
    from mien.training import loop, state

    points = Points(deadly)
    for name in ("replace", "hardlink_to", "unlink", "mkdir"):
        points.before(Path, name)
    points.before(loop, "append_line")
    points.before(state.PowerEMA, "update")
    points.before(tarfile.TarFile, "addfile")
    points.before(weights, "order_metadata")
    for owner in (state, caches, safetensors.torch, safetensors.numpy):
        points.within(owner, "save_file", 1)
    for name in ("write_bytes", "write_text"):
        points.within(Path, name, 0)
    return points


def in_a_child(body: Callable[[], Any]) -> int:
    """Fork a process that does this and nothing else; its number. It ends with 1 where the body raises."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        body()
        status = 0
    except BaseException:
        logging.getLogger(__name__).critical("the command failed", exc_info=True)
    finally:
        os._exit(status)


def forked(task: Callable[[Path], Any], folder: Path, deadly: int | None = None) -> int | None:
    """A command in a process of its own; the number of its points, None where it was killed."""
    told = folder.parent / f"{folder.name}.points"

    def body() -> None:
        points = watch(deadly)
        task(folder)
        told.write_text(str(points.count))

    status = os.waitpid(in_a_child(body), 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    if status:
        raise RuntimeError(f"a command ended with {status}")
    return int(told.read_text())


def begun(task: Callable[[Path], Any], folder: Path, first: Callable[[], Any]) -> Callable[[], str]:
    """Start a command in a process of its own, in which something is done first.

    Returns:
        Waits for its end: what it refuses with, empty where it did not; RuntimeError where it failed otherwise.
    """
    reading, writing = os.pipe()

    def body() -> None:
        first()
        try:
            task(folder)
        except MienError as error:
            os.write(writing, str(error).encode())

    child = in_a_child(body)
    os.close(writing)

    def ended() -> str:
        with os.fdopen(reading, "rb") as stream:
            told = stream.read().decode()
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("a command failed, and did not refuse")
        return told

    return ended


def fill_the_disk(room: int) -> None:
    """From here on this process writes files of ``room`` bytes and no more."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing beyond the limit is an OSError then
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def fill(task: Callable[[Path], Any], folder: Path, rooms: tuple[int, ...]) -> None:
    """An unbroken command, and others on disks that are full after so many bytes, and then are not."""
    forked(task, folder / "first")
    forked(task, folder / "whole")
    told = []
    for number, room in enumerate(rooms):
        place = folder / f"broken-{number}"
        refusal = begun(task, place, partial(fill_the_disk, room))()
        told.append([room, refusal, names_of(place)])
        forked(task, place)
    sys.stdout.write(json.dumps({"full": told}) + "\n")


def names_of(folder: Path) -> list[str]:
    """Everything in a folder that has a name of its own."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """An unbroken command, and others killed twice and then let be."""
    task, folder, kills = TASKS[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
    dice = random.Random(int(sys.argv[4]))
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if kills == 0:
        fill(task, folder, (10, 100, 4000, 30_000))
        return
    forked(task, folder / "first")  # which makes what the command reads
    whole = forked(task, folder / "whole")
    assert whole is not None
    killed = []
    for number in range(kills):
        place, deadly = folder / f"broken-{number}", dice.randrange(1, whole + 1)
        first = forked(task, place, deadly)
        second = forked(task, place, dice.randrange(1, whole + 1))
        forked(task, place)
        killed.append([deadly, first is None, second is None])
    sys.stdout.write(json.dumps({"points": whole, "killed": killed}) + "\n")


if __name__ == "__main__":
    main()
