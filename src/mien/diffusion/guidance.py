"""Guidance as a sum of named differences, evaluated in one batch.

FaceCrafter Eq. 6 is the special case

    e = e(0) + w_id (e(id) - e(0)) + w_lmk (e(id,lmk) - e(id)) + w_emo (e(id,emo) - e(id))

An evaluation is the set of conditions that are present. At a given z_t and t noise, clean latent and velocity are
affine in each other with the same offset, and the coefficients of the sum add up to 1: the sum may be taken on the
UNet's output whatever its prediction type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mien.errors import ConfigError

Conditions = frozenset[str]

FACECRAFTER_WEIGHTS = {"identity": 2.5, "landmarks": 2.0, "emotion": 2.0}
"""w_ID, w_LMK, w_EMO (FaceCrafter sec. 4.1)."""


class Difference(NamedTuple):
    """weight x (e(present) - e(absent)).

    Attributes:
        name: what it steers, for people.
        weight: its guidance weight.
        present: conditions of the first evaluation.
        absent: conditions of the second.

    Example:
        >>> from mien.diffusion import Difference, Guidance
        >>> smile = Difference("landmarks", 2.0, frozenset({"landmarks"}), frozenset())
        >>> Guidance((smile,)).evaluations()
        (frozenset(), frozenset({'landmarks'}))
    """

    name: str
    weight: float
    present: Conditions
    absent: Conditions


@dataclass(frozen=True)
class Guidance:
    """e(start) + sum over differences of weight x (e(present) - e(absent)).

    Attributes:
        differences: the summands; those of weight 0 are not evaluated.
        start: conditions of the first term, none by default.
        rescale: 0 to 1, how far the standard deviation of the result is pulled to that of the most conditioned
            evaluation ("Common Diffusion Noise Schedules and Sample Steps are Flawed", Eq. 15-16).

    Example:
        >>> from mien.diffusion import Guidance
        >>> weights = {"identity": 2.5, "landmarks": 2.0, "emotion": 2.0}
        >>> facecrafter = Guidance.around(weights, anchor=[["identity"]])
        >>> [(sorted(conditions), factor) for conditions, factor in facecrafter.coefficients().items()]
        [([], -1.5), (['identity'], -1.5), (['identity', 'landmarks'], 2.0), (['emotion', 'identity'], 2.0)]
    """

    differences: tuple[Difference, ...]
    start: Conditions = frozenset()
    rescale: float = 0.0

    @classmethod
    def around(
        cls, weights: Mapping[str, float], anchor: Sequence[Iterable[str]] = (), rescale: float = 0.0
    ) -> Guidance:
        """Eq. 6 for any conditions: a chain of anchors, then each further condition on top of the last anchor.

        Args:
            weights: condition -> weight. A link of the chain takes the weight of its first condition.
            anchor: groups of conditions that are added one after the other, e.g. ``[["identity"]]`` for Eq. 6 or
                ``[["text"], ["identity"]]`` to weigh text and identity apart.
            rescale: see the class.

        Raises:
            ConfigError: if an anchor's condition has no weight.
        """
        differences = []
        below: Conditions = frozenset()
        chained: set[str] = set()
        for group in anchor:
            names = list(group)
            if names[0] not in weights:
                raise ConfigError(f"The guidance has no weight for {names[0]!r}; give one.")
            above = below | frozenset(names)
            differences.append(Difference(names[0], weights[names[0]], above, below))
            chained.update(names)
            below = above
        differences += [
            Difference(name, weight, below | {name}, below) for name, weight in weights.items() if name not in chained
        ]
        return cls(tuple(differences), rescale=rescale)

    def coefficients(self) -> dict[Conditions, float]:
        """Evaluation -> its factor in the sum; evaluations of factor 0 are left out. The factors add up to 1."""
        factors: dict[Conditions, float] = {self.start: 1.0}
        for difference in self.differences:
            if difference.weight != 0:
                factors[difference.absent] = factors.get(difference.absent, 0.0) - difference.weight
                factors[difference.present] = factors.get(difference.present, 0.0) + difference.weight
        return {conditions: factor for conditions, factor in factors.items() if factor != 0}

    def evaluations(self) -> tuple[Conditions, ...]:
        """The evaluations to run, in the order in which :meth:`combine` takes them."""
        return tuple(self.coefficients())

    def reference(self) -> int:
        """Which evaluation comes closest to the guided result: the most conditioned one that is added, not subtracted.

        Returns:
            Its index in :meth:`evaluations`; the first where several have as many conditions.
        """
        factors = list(self.coefficients().items())
        return max(range(len(factors)), key=lambda index: (factors[index][1] > 0, len(factors[index][0])))

    def rows_sharing(self, condition: str) -> tuple[int, ...]:
        """For each evaluation the first that agrees with it on whether a condition is present."""
        holds = [condition in conditions for conditions in self.evaluations()]
        return tuple(holds.index(held) for held in holds)

    def combine(self, outputs: Tensor) -> Tensor:
        """Sum the outputs of all evaluations.

        Args:
            outputs: [E B, C, h, w], evaluation by evaluation: row e B + i is picture i under evaluation e.

        Returns:
            [B, C, h, w] in the dtype of ``outputs``; the sum is taken in float32.
        """
        factors = self.coefficients()
        parts = outputs.float().unflatten(0, (len(factors), -1))
        weights = torch.tensor(list(factors.values()), device=outputs.device)
        guided = (parts * weights[:, None, None, None, None]).sum(0)
        if self.rescale > 0:
            fullest = max(range(len(factors)), key=lambda index: len(list(factors)[index]))
            guided = rescale(guided, parts[fullest], self.rescale)
        return guided.to(outputs.dtype)


def rescale(guided: Tensor, reference: Tensor, strength: float) -> Tensor:
    """Pull the standard deviation of each picture to that of the reference.

    Args:
        guided: [B, C, h, w].
        reference: [B, C, h, w], the conditioned prediction.
        strength: phi in [0, 1] of Eq. 16; 0 returns ``guided``.
    """
    axes = tuple(range(1, guided.ndim))
    scaled = guided * (reference.std(axes, keepdim=True) / guided.std(axes, keepdim=True))
    return strength * scaled + (1 - strength) * guided
