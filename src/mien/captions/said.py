"""What a reader saw, in a few words for the user: who, and what the face does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.captions import words

_BOTH_SIDES: tuple[tuple[str, float, str], ...] = (
    ("mouthSmile", 0.35, "smiling"),
    ("mouthFrown", 0.35, "mouth corners down"),
    ("mouthUpperUp", 0.45, "upper teeth bared"),
    ("noseSneer", 0.4, "nose wrinkled"),
    ("browDown", 0.4, "brows down"),
    ("browOuterUp", 0.4, "brows up"),
    ("eyeWide", 0.35, "eyes wide"),
    ("eyeSquint", 0.55, "eyes squeezed"),
    ("eyeBlink", 0.65, "eyes closed"),
)
"""(blendshape without its side, value from which it is worth a word, the word); the values are *ours*."""
_ONE_SIDED: Mapping[str, str] = {
    "mouthSmile": "smiling on one side",
    "eyeBlink": "winking",
    "browOuterUp": "one brow up",
}
"""Blendshapes whose two sides mean something of their own when they differ."""
UNEVEN = 0.35
"""Difference of the two sides from which one of them is meant (*ours*)."""


def said_of_person(attributes: Mapping[str, Any]) -> str:
    """Such as ``young woman, long red hair, no glasses``; "" without attributes.

    What the reader was not sure of is not among the attributes, and so is not said. That there are no glasses is:
    it is what people check first.

    Args:
        attributes: as in `mien.faces.Face`, or as `mien.captions.description.with_description` changes them.
    """
    if not attributes:
        return ""
    seen = [
        f"{words.age_word(attributes)} {words.noun(attributes)}".strip(),
        words.skin(attributes),
        words.hair(attributes),
        words.beard(attributes),
        "no glasses" if attributes.get("glasses") == "none" else words.glasses(attributes),
        words.headwear(attributes),
        *attributes.get("features", ()),
        *attributes.get("around", ()),
    ]
    return ", ".join(part for part in seen if part)


def said_of_face(blendshapes: Mapping[str, float], pose: tuple[float, float, float] | None) -> str:
    """Such as ``mouth open, brows down, head turned to the left``: the strong blendshapes and the head's pose.

    Args:
        blendshapes: ARKit name -> [0, 1].
        pose: (yaw, pitch, roll) in degrees; sides are the viewer's, as in captions.
    """
    parts = []
    jaw = blendshapes.get("jawOpen", 0.0)
    if jaw > 0.25:
        parts.append("mouth wide open" if jaw > 0.55 else "mouth open")
    if max(blendshapes.get("mouthPucker", 0.0), blendshapes.get("mouthFunnel", 0.0)) > 0.45:
        parts.append("lips pursed")
    if blendshapes.get("cheekPuff", 0.0) > 0.4:
        parts.append("cheeks puffed")
    for name, least, word in _BOTH_SIDES:
        left, right = (blendshapes.get(name + side, 0.0) for side in ("Left", "Right"))
        if name in _ONE_SIDED and abs(left - right) > UNEVEN and max(left, right) > least:
            parts.append(_ONE_SIDED[name])
        elif (left + right) / 2 > least:
            parts.append(word)
    turned = words.turning(pose) if pose is not None else ""
    return ", ".join([*(parts or (["neutral expression"] if blendshapes else [])), *([turned] if turned else [])])
