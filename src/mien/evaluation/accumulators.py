"""Collect what a metric needs, batch by batch and process by process, and say of how many it is the value."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.core.distributed import gather_objects
from mien.metrics.distributions import Moments


@dataclass(frozen=True)
class Value:
    """A metric's value.

    Attributes:
        value: NaN where no row counts.
        n: rows that count.
        n_failed: rows that do not, such as outputs without a face; never dropped in silence.
    """

    value: float
    n: int
    n_failed: int


@dataclass
class Rows:
    """A metric that is a mean (or a root mean square) over rows.

    Attributes:
        root: rows are errors and the value is the root of their mean square.
    """

    root: bool = False
    _parts: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, rows: ArrayLike) -> None:
        """Add rows [B]; NaN is a row that failed."""
        self._parts.append(np.atleast_1d(np.asarray(rows, np.float64)))

    def rows(self) -> NDArray[np.float64]:
        """All rows so far, of all processes, in the order of processes; every process must call it."""
        own = np.concatenate(self._parts) if self._parts else np.empty(0)
        return np.concatenate(gather_objects(own))

    def value(self) -> Value:
        """The value over the rows of all processes; every process must call it."""
        rows = self.rows()
        counted = rows[np.isfinite(rows)]
        if not len(counted):
            return Value(float("nan"), 0, len(rows))
        mean = np.sqrt(np.square(counted).mean()) if self.root else counted.mean()
        return Value(float(mean), len(counted), len(rows) - len(counted))


@dataclass
class FeatureMoments:
    """Moments of features, for the Frechet distance: a set of any size in the memory of one covariance."""

    moments: Moments | None = None

    def add(self, features: ArrayLike) -> None:
        """Add features [B, D]."""
        new = Moments.of(features)
        self.moments = new if self.moments is None else self.moments + new

    def total(self) -> Moments:
        """Moments over all processes; every process must call it.

        Raises:
            ValueError: if none has seen anything.
        """
        parts = [part for part in gather_objects(self.moments) if part is not None]
        if not parts:
            raise ValueError("no features were added")
        return sum(parts[1:], parts[0])
