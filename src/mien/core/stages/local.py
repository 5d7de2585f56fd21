"""Tasks in processes of this machine; what a dead process was at is done again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait

from mien.core.processes import available_gpus
from mien.core.stages.stage import Stage
from mien.core.stages.trial import TRIES, Trial, run_task
from mien.errors import MienError

_ONE_THREAD = ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_local(stage: Stage, tasks: Sequence[int], workers: int, advance: Callable[[int], object]) -> None:
    """Do tasks with so many processes; returns when all are done, and ends the processes in any case.

    Args:
        stage: the stage.
        tasks: numbers of tasks that are not done.
        workers: processes; one task or one process is done in this one.
        advance: called with the number of samples done since the last call.

    Raises:
        MienError: with the first process's error, or if processes die again and again.
    """
    count = min(len(tasks), workers)
    if count < 2:
        process = stage.setup() if tasks else None
        for task in tasks:
            assert process is not None
            run_task(stage, process, task, advance)
        return
    _Pool(stage, deque(tasks), advance).run(count)


class _Worker:
    """A process and what it is at."""

    def __init__(self, stage: Stage, number: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
        self.connection, other = context.Pipe()
        self.number = number
        self.process = context.Process(target=_work, args=(stage, other, number), daemon=True)
        self.task: int | None = None
        self.process.start()
        other.close()

    def give(self, task: int | None) -> None:
        """A task, or None for the end; a process that has just died is noticed when it is listened to."""
        self.task = task
        with suppress(OSError):
            self.connection.send(task)


class _Pool:
    """Processes that are each given a task when they have none."""

    def __init__(self, stage: Stage, tasks: deque[int], advance: Callable[[int], object]) -> None:
        self._stage, self._tasks, self._advance = stage, tasks, advance
        self._deaths: Counter[int | None] = Counter()
        self._workers: list[_Worker] = []

    def run(self, count: int) -> None:
        """Until all tasks are done."""
        with _single_threaded_children():
            try:
                self._workers = [_Worker(self._stage, number) for number in range(count)]
                while self._workers:
                    by_connection = {worker.connection: worker for worker in self._workers}
                    for connection in wait(list(by_connection)):
                        self._listen(by_connection[connection])  # type: ignore[index]
            finally:
                for worker in self._workers:
                    worker.process.terminate()
                for worker in self._workers:
                    worker.process.join(10)

    def _listen(self, worker: _Worker) -> None:
        try:
            said = worker.connection.recv()
        except (EOFError, OSError):
            self._died(worker)
            return
        if isinstance(said, str):
            raise MienError(said)
        if isinstance(said, int):
            self._advance(said)
            return
        worker.give(self._tasks.popleft() if self._tasks else None)  # it is ready for one

    def _died(self, worker: _Worker) -> None:
        """A process has ended: as it was told to, or in the middle of a task, which another one does again."""
        worker.process.join()
        self._workers.remove(worker)
        if worker.process.exitcode == 0:
            return
        blamed = worker.task is not None and Trial(self._stage.state, worker.task).blamed is not None
        self._deaths[worker.task] += not blamed  # a sample that kills its process is skipped after as many tries
        if self._deaths[worker.task] >= TRIES:
            raise MienError(
                f"Processes of {self._stage.name} ended with code {worker.process.exitcode} {TRIES} times (out of "
                "memory?): run the same command again, with fewer workers."
            )
        if worker.task is not None:
            self._tasks.appendleft(worker.task)
        self._workers.append(_Worker(self._stage, worker.number))


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
    sys.exit(1)  # an exception, so that an unfinished file is removed on the way out


def _take_gpu(number: int) -> None:
    """Of several GPUs, let this process see one, the workers' in turn; before CUDA is used."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(one) for one in range(available_gpus())]
    if len(names) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = names[number % len(names)]


def _work(stage: Stage, connection: Connection, number: int) -> None:
    """Body of a process: asks for tasks until a None; says counts, or one error's text."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.signal(signal.SIGTERM, _stop)
    if stage.resources.gpus:
        _take_gpu(number)
    try:
        process = stage.setup()
        connection.send(())
        while (task := connection.recv()) is not None:
            run_task(stage, process, task, connection.send)
            connection.send(())
    except MienError as error:
        connection.send(str(error))
    except EOFError:
        sys.exit(1)  # the parent is gone
    except Exception as error:
        connection.send(
            f"{stage.name.capitalize()} failed ({type(error).__name__}: {error}); run the same command to continue."
        )
