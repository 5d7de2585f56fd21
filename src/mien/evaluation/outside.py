"""Networks from outside: a detector, a recognition and an emotion network that nobody here trained.

They come from a package that ships its weights, which the benchmark installs (``benchmarks/outside_networks.py``), and
find the face by themselves: a picture in which their detector sees none counts against whoever drew it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mien.faces.types import Picture

Floats = NDArray[np.float32]

PARTS: Final[Mapping[str, tuple[int, ...]]] = {"found": (1,), "identity": (128,), "emotion": (7,)}
"""What they tell of a picture, and its shape: score of the best face (0 where none is found), its embedding of L2 norm
1, and probabilities of `WORDS`; NaN without a face."""
WORDS: Final = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
"""The emotion network's classes; it has no contempt."""


class OutsideNetworks(Protocol):
    """Reads pictures by networks from outside.

    Attributes:
        files: name of each weight file -> its sha256.
    """

    files: Mapping[str, str]

    def __call__(self, pictures: Sequence[Picture]) -> dict[str, Floats]:
        """B pictures, PIL or uint8 [H, W, 3] -> ``PARTS``, [B, ...] each."""
        ...


def same_word(seen: Floats, wanted: Floats) -> NDArray[np.float64]:
    """1 where two emotion readings [N, 7] have the same likeliest word, else 0; 0 without a face on either side."""
    there = np.isfinite(seen).all(-1) & np.isfinite(wanted).all(-1)
    words = (np.nan_to_num(part).argmax(-1) for part in (seen, wanted))
    return (there & np.equal(*words)).astype(np.float64)
