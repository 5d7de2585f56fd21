"""Which rows a stage looks at, and pictures as its networks take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.core.pixels import pictures_to_tensor
from mien.studio.person import AGE_GROUP_EDGES, skin_band

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

__all__ = ["WeightedSampler", "group_probabilities", "pictures_to_tensor", "spread_rows"]


def group_probabilities(corpus: Corpus, power: float) -> np.ndarray:
    """Relative probabilities [N] of the rows, share^-power of the group of age and skin tone that the person is in.

    Args:
        corpus: the pictures.
        power: 0 leaves all rows alike, 1 makes all groups alike (*ours*): four of age times four of skin tone.
    """
    groups = np.digitize(corpus["age"], AGE_GROUP_EDGES) * 4 + [skin_band(tone) for tone in corpus["skin_tone"]]
    shares = np.bincount(groups, minlength=16) / len(groups)
    return shares[groups] ** -power


class WeightedSampler:
    """Draws rows with given probabilities.

    Args:
        rows: [N] row numbers.
        probabilities: [N] of each, in any unit: their sum need not be 1.
    """

    def __init__(self, rows: np.ndarray, probabilities: np.ndarray) -> None:
        self._rows, self._places = rows, np.cumsum(probabilities)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """``count`` rows, with replacement."""
        found = np.searchsorted(self._places, rng.random(count) * self._places[-1], side="right")
        return self._rows[np.minimum(found, len(self._rows) - 1)]


def spread_rows(length: int, count: int) -> np.ndarray:
    """``count`` row numbers spread evenly over ``length`` rows."""
    return np.linspace(0, length - 1, min(count, length)).round().astype(np.int64)
