"""What people wear on their heads: who does, what in which picture, and what it leaves to be seen of the hair.

Drawn from random numbers of their own, so that everything else about a person and a picture stays as it is without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mien.faces import palette

HEADWEAR: Final = ("headscarf", "head wrap", "beanie", "cap", "hat")
"""Kinds of headwear: a scarf around face and neck, cloth wound around the head, knitted, with a visor, with a brim."""

HABITS: Final = ("none", "headscarf", "head wrap", "hats")
"""What a person is used to wearing; "hats" is a beanie, a cap or a hat."""

HIDES_HAIR: Final = ("headscarf", "head wrap")
"""Headwear under which no hair is seen."""

_WEARERS: Final = 0.15
_HABIT_ODDS: Final = {True: (0.5, 0.2, 0.3), False: (0.0, 0.2, 0.8)}
_WORN: Final = {"headscarf": 0.9, "head wrap": 0.85, "hats": 0.75}
_HATS: Final = ("beanie", "cap", "hat")
_LOOSE: Final = ("bob", "long straight", "long wavy", "bangs", "afro", "curly", "locs", "box braids", "plaits")
_HABIT_SALT: Final = 0x68617473
_PICTURE_SALT: Final = 0x776F726E


@dataclass(frozen=True)
class Headwear:
    """One piece of headwear.

    Attributes:
        kind: one of ``HEADWEAR``.
        color: a name of ``palette.CLOTHES``.
        pattern: "plain", "striped" or "dotted".
        light_pattern: whether the second colour is lighter.
        fit: 0 close, 1 voluminous.
        tilt: how the folds and slack lie, -1..1.
    """

    kind: str
    color: str
    pattern: str = "plain"
    light_pattern: bool = True
    fit: float = 0.5
    tilt: float = 0.0


def sample_habit(seed: int, feminine: bool) -> str:
    """What the person with this seed is used to wearing on the head: one of ``HABITS``."""
    rng = np.random.default_rng([seed, _HABIT_SALT])
    wears = rng.random() < _WEARERS
    habit = str(rng.choice(HABITS[1:], p=_HABIT_ODDS[feminine]))
    return habit if wears else "none"


def sample_headwear(seed: int, person_seed: int, habit: str) -> Headwear | None:
    """What a person with a habit wears in the picture with this seed; sometimes nothing."""
    if habit == "none":
        return None
    rng = np.random.default_rng([seed, _PICTURE_SALT, person_seed])
    worn, hat = rng.random() < _WORN[habit], str(rng.choice(_HATS, p=(0.4, 0.35, 0.25)))
    kind = hat if habit == "hats" else habit
    patterned = {"headscarf": 0.25, "head wrap": 0.4, "beanie": 0.35}.get(kind, 0.0)
    pattern = str(rng.choice(("striped", "dotted"))) if rng.random() < patterned else "plain"
    piece = Headwear(
        kind=kind,
        color=str(rng.choice(list(palette.CLOTHES))),
        pattern="striped" if kind == "beanie" and pattern == "dotted" else pattern,
        light_pattern=bool(rng.random() < 0.6),
        fit=float(rng.random()),
        tilt=float(rng.uniform(-1.0, 1.0)),
    )
    return piece if worn else None


def visible_hair(headwear: Headwear | None, style: str, length: str, color: str) -> tuple[str, str, str]:
    """Style, length and colour of the hair as far as they can be seen; "hidden" where they cannot."""
    if headwear is None:
        return style, length, color
    if headwear.kind in HIDES_HAIR or style in ("bald", "bun"):
        return "hidden", "hidden", "hidden"
    return (style if style in _LOOSE else "hidden"), length, color
