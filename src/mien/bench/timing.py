"""Sides that take turns in one process, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mien.core.progress import Advance

Run = Callable[[], object]


@dataclass
class Timing:
    """One side's seconds, a number a round.

    Attributes:
        wall: by the clock.
        cpu: of this process's threads; what a busy machine stretches least.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Median, minimum and maximum of both."""
        return {"seconds": spread(self.wall), "cpu_seconds": spread(self.cpu)}


def take_turns(
    sides: Mapping[str, Run],
    rounds: int,
    *,
    warm_up: int = 1,
    wait: Run = lambda: None,
    advance: Advance = lambda _: None,
) -> dict[str, Timing]:
    """Run all sides in turns: A B C, C B A, A B C ..., after ``warm_up`` turns that do not count.

    Args:
        sides: name -> what it does.
        rounds: turns of each side that count.
        warm_up: turns before.
        wait: returns when everything that was asked of the device is done.
        advance: called with 1 after every run.
    """
    found = {name: Timing() for name in sides}
    for number in range(-warm_up, rounds):
        for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
            wait()
            wall, cpu = time.perf_counter(), time.process_time()
            sides[name]()
            wait()
            if number >= 0:
                found[name].wall.append(time.perf_counter() - wall)
                found[name].cpu.append(time.process_time() - cpu)
            advance(1)
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum, to five figures."""
    parts = {"median": statistics.median(values), "minimum": min(values), "maximum": max(values)}
    return {name: float(f"{value:.5g}") for name, value in parts.items()}


def ratio(slower: Timing, faster: Timing) -> dict[str, Any]:
    """How many times as long ``slower`` takes: median, minimum and maximum of the ratios of each round.

    ``cpu`` says the same of the processor's time instead of the clock's.
    """
    found: dict[str, Any] = spread([a / b for a, b in zip(slower.wall, faster.wall, strict=True)])
    cpu = [a / b for a, b in zip(slower.cpu, faster.cpu, strict=True) if b > 0]
    return found | {"rounds": len(slower.wall), "cpu": spread(cpu) if cpu else None}


def pairs(timings: Mapping[str, Timing], asked: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The ratios of the pairs (slower, faster) whose sides were both timed."""
    return [
        {"of": slower, "to": faster, "ratio": ratio(timings[slower], timings[faster])}
        for slower, faster in asked
        if slower in timings and faster in timings
    ]
