"""A user's words about a person, put in the place of what the reader saw of the same parts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        r"hair\w*|bald|bob|quiff|afro|bun|locs|braids?|plaits?|bangs|curls|ponytail|buzz cut",
        ("hair_style", "hair_color", "hair_length"),
    ),
    (r"beard\w*|stubble|goatee|moustache|mustache|shaven", ("beard",)),
    (r"\w*glasses|spectacles", ("glasses", "glasses_color")),
    (r"headscarf|head wrap|beanie|cap|hat|hijab|turban", ("headwear", "headwear_color")),
    (r"skin", ("skin_band",)),
    (r"lipstick|make-?up", ("lipstick",)),
    (r"freckles", ("freckles",)),
    (r"background", ("background",)),
    (r"(?:from \w+|soft|studio) light|light from .*", ("light",)),
)
"""(words that name a part of a portrait, the attributes that tell it): the first that fits a phrase is meant."""
_GENDER = {"woman": 1.0, "girl": 1.0, "man": -1.0, "boy": -1.0, "person": 0.0}
_AGE = {"young": 25.0, "middle-aged": 45.0, "old": 68.0, "elderly": 68.0}
_WHO = re.compile(rf"(?:an? )?(?:({'|'.join(_AGE)})\b)? ?(?:({'|'.join(_GENDER)})\b)?")
_ABSENT = re.compile(r"(?:no|without)\b|clean[- ]shaven")


def with_description(attributes: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The attributes with what a text says, phrase by phrase.

    ``short grey hair`` takes the place of the hair that was read; ``no glasses`` takes glasses out, since captions do
    not mention what is absent; ``old man`` sets age and gender; everything else is added.

    Args:
        attributes: as in `mien.faces.Face`; what they do not hold is unknown.
        text: phrases with commas, or ``and``, between them.

    Returns:
        A copy. ``features`` and ``around`` hold the phrases themselves: of the person, and of clothes and background.
    """
    found = dict(attributes)
    features: list[str] = []
    around: list[str] = []
    for phrase in filter(None, (one.strip(" .") for one in re.split(r",|\band\b|\bwith\b(?!out)", text))):
        if who := _WHO.fullmatch(phrase.lower()):
            age, gender = who.groups()
            found |= {"age": _AGE[age]} if age else {}
            found |= {"gender": _GENDER[gender]} if gender else {}
            continue
        worn = phrase.lower().startswith("wearing")
        keys = next((keys for words, keys in _PARTS if re.search(rf"\b(?:{words})\b", phrase.lower())), None)
        for key in keys or (("clothing",) if worn else ()):
            found.pop(key, None)
        if not _ABSENT.match(phrase.lower()):
            phrase = "a bald head" if phrase.lower() == "bald" else phrase
            (around if worn or keys in (("background",), ("light",)) else features).append(phrase)
    return found | ({"features": features} if features else {}) | ({"around": around} if around else {})
