"""Processes: how many this machine can run side by side, and a map over them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def available_cores() -> int:
    """Number of cores that this process may use, at least 1.

    Linux says which ones a container or ``taskset`` leaves us; macOS and Windows only say how many the machine has.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_gpus() -> int:
    """Number of CUDA devices that this process may use; asking does not start CUDA."""
    import torch

    return torch.cuda.device_count()


def own_cores() -> int:
    """This process's share of the cores: ``torchrun`` starts several processes on a machine that do the same work."""
    stated = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, available_cores() // (int(stated) if stated.isdigit() and int(stated) else 1))


def in_processes(function: Callable[..., T], *arguments: Sequence[Any]) -> Iterator[T]:
    """``(function(a, b, ...) for a, b, ... in zip(*arguments))``, one process for each of `own_cores` if worth it.

    Processes are spawned, not forked: a fork of a process with OpenMP threads can hang, and Windows has none.
    """
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor

    cores = min(own_cores(), len(arguments[0]))
    if cores < 2:
        yield from (function(*row) for row in zip(*arguments, strict=True))
        return
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        waiting: deque[Future[T]] = deque()
        for row in zip(*arguments, strict=True):  # few ahead: what is made lies in memory until it is taken
            waiting.append(pool.submit(function, *row))
            if len(waiting) > 2 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
