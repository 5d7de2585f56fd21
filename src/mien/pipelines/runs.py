"""What is known of training's runs without training: where they are kept, and how their learning rate goes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from mien.core.io import cache_folder

PUBLISHED = ("sd15", "sdxl", "arc2face")
"""Bases that go by a name and share the folder `on`."""


def runs_folder(base: str = "studio") -> Path:
    """Where runs are kept unless told otherwise; those on another base have a folder of their own.

    That of a base in a folder has the folder's name and eight digits made of its whole path.
    """
    runs = cache_folder() / "runs"
    if base == "studio":
        return runs
    if base in PUBLISHED:
        return runs / "on" / base
    path = Path(base).resolve()
    return runs / "on" / f"{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


class RateSchedule(NamedTuple):
    """How the learning rate of a run goes: linear warm-up, constant, linear decay over the last part of the budget.

    Attributes:
        batch: pictures of a step, of all processes.
        pictures: the budget.
        warm_up: pictures of warm-up.
        decay: share of the budget over which the rate falls.
        final: share of the full rate that is left at the end.
    """

    batch: int
    pictures: int
    warm_up: int
    decay: float
    final: float

    def share(self, seen: int) -> float:
        """Of the full rate, after ``seen`` pictures."""
        warm = min(1.0, (seen + self.batch) / self.warm_up) if self.warm_up else 1.0
        start = self.pictures * (1 - self.decay)
        if seen <= start or not self.decay:
            return warm
        return warm * max(self.final, (self.pictures - seen) / (self.pictures - start))

    def full_rate_steps(self, seen: int) -> float:
        """How many steps at the full rate those for the first ``seen`` pictures are worth."""
        return sum(self.share(before) for before in range(0, seen, self.batch))
