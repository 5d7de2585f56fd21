"""Scores of several models over the same resamples: value, interval, floor, ceiling, and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.statistics.bootstrap import Weights, estimate, weighted_means
from mien.metrics.distributions import Moments, frechet_distance, kernel_distances

Draws = NDArray[np.float64]


class Comparable(Protocol):
    """A number of one model that can be reported and compared with the same number of another."""

    def as_json(self) -> dict[str, Any]:
        """value, low, high, n, n_failed, floor, ceiling, better."""
        ...

    def minus(self, other: Any, /) -> dict[str, Any]:
        """value, low and high of the difference."""
        ...

    def apart(self, other: Any, /) -> Draws:
        """The difference over all resamples [1 + draws], the data themselves first."""
        ...


@dataclass(frozen=True, eq=False)
class Score:
    """One number of one model over all resamples.

    Attributes:
        level: pictures (or people) that may count, bool [N] -> [1 + draws], the data themselves first.
        counted: those that count, bool [N]; the others failed.
        floor, ceiling: what no control and the exact render give; None where the number has none.
        better: ``lower``, ``higher``, or ``zero`` where the exact render gives 0 and neither side is better.
    """

    level: Callable[[NDArray[np.bool_]], Draws]
    counted: NDArray[np.bool_]
    floor: float | None
    ceiling: float | None
    better: str

    def as_json(self) -> dict[str, Any]:
        """See `Comparable`."""
        n = int(self.counted.sum())
        return estimate(self.level(self.counted)) | {
            "n": n, "n_failed": len(self.counted) - n, "floor": self.floor, "ceiling": self.ceiling,
            "better": self.better,
        }  # fmt: skip

    def minus(self, other: Score) -> dict[str, Any]:
        """Over the pictures that count for both."""
        return estimate(self.apart(other))

    def apart(self, other: Score) -> Draws:
        """See `Comparable`; of their sizes where 0 is the best."""
        both = self.counted & other.counted
        ours, theirs = self.level(both), other.level(both)
        with np.errstate(invalid="ignore"):  # two infinite levels, such as the PSNR of equal pictures, do not differ
            return np.abs(ours) - np.abs(theirs) if self.better == "zero" else ours - theirs


@dataclass(frozen=True)
class SetScore:
    """A number of a set as a whole, without an interval, such as a Frechet distance; lower is better.

    Attributes:
        value: NaN where the set is too small.
        n: pictures.
        ceiling: what as many exact renders give.
    """

    value: float
    n: int
    ceiling: float | None

    def as_json(self) -> dict[str, Any]:
        """See `Comparable`."""
        return {"value": finite(self.value), "low": None, "high": None, "n": self.n, "n_failed": 0, "floor": None,
                "ceiling": self.ceiling, "better": "lower"}  # fmt: skip

    def minus(self, other: SetScore) -> dict[str, Any]:
        """The difference of the two values."""
        return {"value": finite(self.value - other.value), "low": None, "high": None}

    def apart(self, other: SetScore) -> Draws:
        """See `Comparable`: there are no resamples."""
        return np.array([self.value - other.value])


@dataclass(frozen=True, eq=False)
class KernelScore:
    """KID of a set, over resamples; lower is better.

    Attributes:
        draws: [1 + draws], the data themselves first.
        n: pictures.
        ceiling: what exact renders give; None where it is not known.
    """

    draws: Draws
    n: int
    ceiling: float | None

    def as_json(self) -> dict[str, Any]:
        """See `Comparable`."""
        return estimate(self.draws) | {"n": self.n, "n_failed": 0, "floor": None, "ceiling": self.ceiling,
                                       "better": "lower"}  # fmt: skip

    def minus(self, other: KernelScore) -> dict[str, Any]:
        """From the same resamples."""
        return estimate(self.apart(other))

    def apart(self, other: KernelScore) -> Draws:
        """See `Comparable`."""
        return self.draws - other.draws


def set_scores(
    name: str,
    real: Draws,
    seen: Draws,
    weights: Weights,
    units: NDArray[Any],
    ends: tuple[float | None, float | None] = (None, None),
    *,
    own: bool = True,
) -> dict[str, Comparable]:
    """KID and Frechet distance of outputs from renders in a network's features; Inception's Frechet distance is an FID.

    Args:
        name: of the network.
        real: features [M, D] of the renders, or of photographs.
        seen: features [N, D] of the outputs.
        weights: resamples of the rows [1 + draws, N].
        units: whose picture each row is, and of which target where there are any [N, U], see `kernel_distances`.
        ends: (KID, Frechet distance) that exact renders give, where known.
        own: both are of the same people, row by row, and resampled together; else ``real`` shows others, and stays
            whole.
    """
    distance = frechet_distance(Moments.of(real), Moments.of(seen))
    if own:
        draws = kernel_distances(real, seen, weights, units=(units, units))
    else:
        others = np.repeat(-1 - np.arange(len(real))[:, None], units.shape[1], 1)  # labels that no output has
        draws = kernel_distances(seen, real, weights, np.ones((len(weights), len(real))), (units, others))
    return {
        f"kid.{name}": KernelScore(draws, len(seen), ends[0]),
        f"{frechet_name(name)}.{name}": SetScore(distance, len(seen), ends[1]),
    }


def frechet_name(network: str) -> str:
    """Only in Inception's features is the Frechet distance an FID."""
    return "fid" if network == "inception" else "frechet"


def share_score(hits: NDArray[Any], weights: Weights, floor: float | None, ceiling: float | None) -> Score:
    """How many of all pictures [N]; one without a face is a miss, so all count."""
    share = weighted_means(np.asarray(hits, np.float64), weights)
    return Score(lambda _: share, np.ones(len(hits), bool), floor, ceiling, "higher")


def quotient(model: Draws, oracle: Draws) -> Draws:
    """One number over another, draw by draw; NaN where there is nothing to divide by."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(oracle > 0, model / oracle, np.nan)


def mean_score(rows: Draws, exact: Draws, weights: Weights, better: str) -> Score:
    """A mean over rows [N], NaN where one failed; ``exact`` [N] are the same of the exact renders."""
    return Score(
        lambda counted: weighted_means(np.where(counted, rows, np.nan), weights),
        np.isfinite(rows), None, finite_mean(exact), better,
    )  # fmt: skip


def differences_to_first(scores: Mapping[str, Mapping[str, Comparable]]) -> dict[str, Any]:
    """``compared_with`` (the first model) and ``differences`` of every other to it, for a report."""
    reference, *others = scores
    return {
        "compared_with": reference,
        "differences": {
            name: {metric: score.minus(scores[reference][metric]) for metric, score in scores[name].items()}
            for name in others
        },
    }


def finite_mean(rows: NDArray[Any]) -> float | None:
    """Mean of the rows that are numbers; None without any."""
    there = np.isfinite(rows)
    return finite(float(rows[there].mean())) if there.any() else None


def finite(value: float) -> float | None:
    """Rounded for a report; None for NaN."""
    return round(float(value), 5) if np.isfinite(value) else None
