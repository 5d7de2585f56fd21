"""Locs and braids: who has them. Drawn from random numbers of their own, so that nobody else changes."""

from __future__ import annotations

from typing import Final

import numpy as np

ROPES: Final[dict[str, float]] = {"locs": 13.0, "box braids": 30.0}
"""Styles whose strands are whole ropes of hair, and how many bumps each rope has."""

_SALT: Final = 0x62726169
_LONG: Final = ("bob", "long straight", "long wavy", "bangs", "bun")
_TIGHT: Final = ("afro", "curly")


def rope_style(seed: int, style: str, skin_band: int) -> str:
    """The style of the person with this seed: locs or braids for some of those whose hair suits it, else ``style``."""
    rng = np.random.default_rng([seed, _SALT])
    chance, kind = rng.random(), str(rng.choice(("locs", "box braids")))
    if style in _LONG and skin_band < 2:
        return "plaits" if chance < 0.08 else style
    if style in _LONG or style in _TIGHT:
        if skin_band >= 2:
            return kind if chance < 0.14 else "plaits" if style in _LONG and chance < 0.17 else style
        return "locs" if chance < 0.03 else style
    return style
