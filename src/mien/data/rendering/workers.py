"""Processes that render shards side by side."""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mien.errors import MienError

log = logging.getLogger(__name__)

RenderShard = Callable[[int, Callable[[int], None]], None]
"""(number of a shard, called with the number of pictures done) -> None."""

_ONE_THREAD = ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Children inherit an environment in which software OpenGL and BLAS use one thread each."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _stop(signum: int, frame: object) -> None:
    sys.exit(1)  # an exception, so that the unfinished shard is removed on the way out


def _work(open_shards: Callable[[], RenderShard], tasks: Any, events: Any) -> None:
    """Body of a process: shards from `tasks` until a None; counts, or one error's text, into `events`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.signal(signal.SIGTERM, _stop)
    try:
        render = open_shards()
        while (shard := tasks.get()) is not None:
            render(shard, events.put)
    except MienError as error:
        events.put(str(error))
    except Exception as error:
        log.exception("rendering failed")
        events.put(f"Rendering failed ({type(error).__name__}: {error}); run the same command to continue.")


def run_workers(
    open_shards: Callable[[], RenderShard], shards: list[int], count: int, advance: Callable[[int], None]
) -> None:
    """Render `shards` with `count` processes; returns when all are done, and ends the processes in any case.

    Args:
        open_shards: called once in each process, so it must be picklable; gives what renders a shard.
        shards: their numbers.
        count: processes.
        advance: called with the number of pictures done since the last call.

    Raises:
        MienError: with the first process's error, or if a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    tasks, events = context.Queue(), context.Queue()
    for shard in [*shards, *[None] * count]:
        tasks.put(shard)
    with _single_threaded_children():
        workers = [context.Process(target=_work, args=(open_shards, tasks, events)) for _ in range(count)]
        for worker in workers:
            worker.start()
    try:
        while True:
            finished = all(not worker.is_alive() for worker in workers)
            try:
                while True:
                    event = events.get(timeout=0.0 if finished else 0.3)
                    if isinstance(event, str):
                        raise MienError(event)
                    advance(event)
            except queue.Empty:
                pass
            killed = [worker.exitcode for worker in workers if worker.exitcode]
            if killed:
                raise MienError(
                    f"A rendering process ended with code {killed[0]} (out of memory?): run the same command again."
                )
            if finished:
                return
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
        for worker in workers:
            worker.join(10)
        tasks.cancel_join_thread()
