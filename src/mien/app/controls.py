"""The controls of the page: sliders named as an artist names them, and what each moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mien.conditions import CIRCUMPLEX, MAX_POSE
from mien.faces.connections import IRISES, POLYLINES
from mien.generation.said import DRAWN_POSE


class Slider(NamedTuple):
    """One slider.

    Attributes:
        name: as an artist says it.
        low: blendshapes that a value below the middle moves; none for a slider that begins at 0.
        high: those that a value above it moves.
        ends: what the two ends are called.
    """

    name: str
    low: tuple[str, ...]
    high: tuple[str, ...]
    ends: tuple[str, str]


def _both(name: str) -> tuple[str, str]:
    return f"{name}Left", f"{name}Right"


SLIDERS: tuple[Slider, ...] = (
    Slider("Smile", _both("mouthFrown"), _both("mouthSmile"), ("corners down", "corners up")),
    Slider("Jaw", (), ("jawOpen",), ("closed", "open")),
    Slider("Lips", _both("mouthStretch"), ("mouthPucker",), ("wide", "pursed")),
    Slider("Brows", _both("browDown"), ("browInnerUp", *_both("browOuterUp")), ("lowered", "raised")),
    Slider("Lids", _both("eyeSquint"), _both("eyeWide"), ("narrow", "wide")),
    Slider("Blink, left eye", (), ("eyeBlinkLeft",), ("open", "shut")),
    Slider("Blink, right eye", (), ("eyeBlinkRight",), ("open", "shut")),
    Slider("Gaze, sideways", ("eyeLookInLeft", "eyeLookOutRight"), ("eyeLookOutLeft", "eyeLookInRight"),
           ("subject's right", "subject's left")),
    Slider("Gaze, height", _both("eyeLookDown"), _both("eyeLookUp"), ("down", "up")),
    Slider("Cheeks", (), ("cheekPuff",), ("flat", "puffed")),
    Slider("Nose", (), _both("noseSneer"), ("at rest", "wrinkled")),
)  # fmt: skip
"""The sliders, in the order of the page. The gaze's sides are the subject's, as everywhere in mien."""


def page_controls(scales: Mapping[str, float], guidance: Mapping[str, float]) -> dict[str, Any]:
    """What the page builds its controls from, as JSON values; ``scales`` and ``guidance``: the base's own."""
    return {
        "sliders": [slider._asdict() for slider in SLIDERS],
        "scales": {branch: scales.get(branch, 1.0) for branch in ("landmarks", "expression", "emotion")},
        "guidance": {dial: guidance.get(dial, 1.0) for dial in ("identity", "text")},
        "circumplex": CIRCUMPLEX,
        "pose": {"most": MAX_POSE, "learned": DRAWN_POSE},
        "lines": {name: [*lines] for name, lines in POLYLINES.items()},
        "irises": {name: [centre, *rim] for name, (centre, rim) in IRISES.items()},
    }
