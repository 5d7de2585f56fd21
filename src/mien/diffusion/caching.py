"""What does not have to be computed at every denoising step, and at which steps it is.

Guidance differences and the features of a UNet's deep blocks change slowly from step to step. Three settings use that,
alone or together; none of them needs training:

- :class:`DifferenceCaching`: one evaluation a step, the guidance's sum of differences only at some steps;
- :class:`GuidanceInterval`: guidance between two fractions of the sampling only (Kynkaanniemi et al. 2024,
  arXiv 2404.07724);
- :class:`FeatureReuse`: the deep blocks at some steps only (DeepCache, Ma et al. 2024, arXiv 2312.00858).

Kept beside the package DeepCache and the cache hooks of diffusers: they know one guidance of two evaluations, not a sum
of differences whose evaluations differ from step to step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from mien.errors import ConfigError

Speed = Literal["exact", "fast", "few"]
STEPS = 25
"""Denoising steps where nobody says, except in few-step mode."""


@dataclass(frozen=True)
class DifferenceCaching:
    """e = e(reference) + D, where D = e_guided - e(reference) is computed at some steps and kept in between.

    Differences change most while the picture's layout is decided, so the gaps between those steps grow.

    Attributes:
        growth: how much longer each gap is than the one before it, in steps; the first is 1. Of 25 steps, 1.5 computes
            differences at 0, 1, 4, 8, 13 and 20; 0 at every step.
        extrapolate: D moves on as it did between the last two steps at which it was computed; else it stays.

    Example:
        >>> from mien.diffusion import DifferenceCaching
        >>> sorted(DifferenceCaching(growth=1.5).steps(25))
        [0, 1, 4, 8, 13, 20]
    """

    growth: float = 1.5
    extrapolate: bool = True

    def __post_init__(self) -> None:
        if self.growth < 0:
            raise ConfigError(f"growth={self.growth} is out of range; give 0 (every step) or more.")

    def steps(self, count: int) -> frozenset[int]:
        """The steps of ``count`` at which differences are computed."""
        found, step, gap = set(), 0.0, 1.0
        while round(step) < count:
            found.add(round(step))
            step, gap = step + gap, gap + self.growth
        return frozenset(found)


@dataclass(frozen=True)
class GuidanceInterval:
    """Guidance between two fractions of the sampling; outside them the most conditioned evaluation stands alone.

    Attributes:
        start: first fraction with guidance, 0 the first step.
        end: last fraction with guidance, 1 the last step.

    Example:
        >>> from mien.diffusion import GuidanceInterval
        >>> [step for step in range(25) if GuidanceInterval(0.2, 0.8).holds(step, 25)][::14]
        [5, 19]
    """

    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 1:
            raise ConfigError(f"The interval {self.start} to {self.end} must rise and lie between 0 and 1.")

    def holds(self, step: int, count: int) -> bool:
        """Whether a step lies inside."""
        return self.start <= step / max(count - 1, 1) <= self.end


@dataclass(frozen=True)
class FeatureReuse:
    """The deep blocks run at every ``every``-th step; in between their last output stands in.

    Attributes:
        every: 1 is every step.
        depth: how many layers of the way down and up are run at every step besides the outermost (0).

    Example:
        >>> from mien.diffusion import Caching, FeatureReuse
        >>> [step.deep for step in Caching(features=FeatureReuse(every=3)).schedule(6, evaluations=1)]
        [True, False, False, True, False, False]
    """

    every: int = 3
    depth: int = 0

    def __post_init__(self) -> None:
        if self.every < 1 or self.depth < 0:
            raise ConfigError(f"every={self.every} must be at least 1 and depth={self.depth} at least 0.")


@dataclass(frozen=True)
class Caching:
    """What is reused between steps; None is nothing.

    Attributes:
        differences: of the guidance.
        interval: of the guidance.
        features: of the deep blocks.

    Example:
        >>> from mien.diffusion import Caching, DifferenceCaching
        >>> steps = Caching(differences=DifferenceCaching(1.5)).schedule(25, evaluations=4)
        >>> sum(step.whole for step in steps)
        6
    """

    differences: DifferenceCaching | None = None
    interval: GuidanceInterval | None = None
    features: FeatureReuse | None = None

    def schedule(self, count: int, evaluations: int) -> list[Step]:
        """What each of ``count`` steps computes when guidance has ``evaluations`` evaluations."""
        whole = None if self.differences is None else self.differences.steps(count)
        found: list[Step] = []
        deep_at, deep_whole, kept = 0, False, False
        for index in range(count):
            guided = self.interval is None or self.interval.holds(index, count)
            every = evaluations == 1 or (guided and (whole is None or index in whole or not kept))
            kept = kept or (every and guided)
            reused = self.features is not None and index > 0 and index - deep_at < self.features.every
            # rows that were not there when the deep blocks ran cannot be reused, and differences want exact features
            deep = not reused or (every and (whole is not None or not deep_whole) and evaluations > 1)
            if deep:
                deep_at, deep_whole = index, every
            found.append(Step(every, guided, deep))
        return found


class Step(NamedTuple):
    """What one denoising step computes.

    Attributes:
        whole: all evaluations; else the reference alone.
        guided: differences are added; else the reference stands alone.
        deep: the deep blocks run; else their last output is used.
    """

    whole: bool
    guided: bool
    deep: bool


SPEEDS: dict[Speed, Caching] = {
    "exact": Caching(),
    "fast": Caching(differences=DifferenceCaching(), features=FeatureReuse()),
    "few": Caching(),
}
"""Modes by name. ``few`` makes one evaluation a step, of a UNet that was distilled for it (`mien.pipelines.few_step`),
and has nothing to reuse. ``fast`` is measured in docs/speed.md; its numbers are ours (*inferred* from no paper)."""


def caching_of(speed: Speed | Caching) -> Caching:
    """A mode by name, or a setting as it is.

    Raises:
        ConfigError: for an unknown name.
    """
    if isinstance(speed, Caching):
        return speed
    if speed not in SPEEDS:
        raise ConfigError(f"speed={speed!r} is unknown; choose {', '.join(SPEEDS)}.")
    return SPEEDS[speed]
