"""Random expressions: the emotions at all intensities, speech, winks, gaze, asymmetry, mixtures and rare faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mien.conditions import EMOTIONS
from mien.faces.linear.arkit import KIT_NAMES
from mien.faces.linear.recipes import (
    EMOTION_RECIPES,
    EXTREMES,
    FLUSH,
    GESTURES,
    VISEMES,
    both_sides,
    mirrored,
    plausible,
)
from mien.faces.linear.state import ExpressionError, ExpressionState

if TYPE_CHECKING:
    from numpy.random import Generator

KINDS: Mapping[str, float] = {
    "neutral": 0.05,
    "emotion": 0.32,
    "extreme": 0.20,
    "speech": 0.09,
    "speech-emotion": 0.08,
    "gesture": 0.07,
    "wink": 0.04,
    "blink": 0.03,
    "mixture": 0.06,
    "random": 0.06,
}
"""Kinds of sampled expression and how often each is drawn."""

_EXTREME_REGIONS: Mapping[str, float] = {"mouth": 0.85, "eyes": 0.45, "brows": 0.40}
"""How often an extreme face is extreme in a region; one that is so in none takes the mouth."""

_FREE = tuple(name for name in KIT_NAMES if not name.startswith("eyeLook") and name != "mouthClose")


def _pick(rng: Generator, options: tuple[str, ...], weights: tuple[float, ...] | None = None) -> str:
    return options[int(rng.choice(len(options), p=weights))]


def _recipe(
    rng: Generator, recipe: Mapping[str, float], intensity: float, mirror: bool | None = None
) -> dict[str, float]:
    """A recipe at an intensity with the small differences of one face at one moment.

    Each muscle varies by itself, the sides differ a little, now and then a muscle stays quiet. `mirror` exchanges left
    and right; None does so in one of two cases.
    """
    sides = both_sides(recipe)
    if rng.random() < 0.5 if mirror is None else mirror:
        sides = mirrored(sides)
    skew = float(rng.normal(0.0, 0.10)) if rng.random() < 0.8 else float(rng.normal(0.0, 0.35))
    gain: dict[str, float] = {}
    out: dict[str, float] = {}
    for name in sorted(sides):
        stem, _, side = name.partition("_")
        if stem not in gain:
            gain[stem] = float(rng.normal(1.0, 0.22)) if rng.random() > 0.12 else float(rng.uniform(0.0, 0.5))
        tilt = 1.0 + {"L": skew, "R": -skew, "": 0.0}[side] + (float(rng.normal(0.0, 0.06)) if side else 0.0)
        out[name] = sides[name] * intensity * max(0.0, gain[stem]) * max(0.0, tilt)
    return out


def _add(*parts: Mapping[str, float]) -> dict[str, float]:
    out: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            out[name] = out.get(name, 0.0) + value
    return out


def _emotion(rng: Generator, name: str | None = None, intensity: float | None = None) -> dict[str, float]:
    name = name or _pick(rng, EMOTIONS[1:])
    variants = EMOTION_RECIPES[name]
    strength = float(rng.uniform(0.15, 1.1)) if intensity is None else intensity
    return _recipe(rng, variants[int(rng.integers(len(variants)))], strength)


def _speech(rng: Generator) -> dict[str, float]:
    names = tuple(VISEMES)
    first, second = _pick(rng, names), _pick(rng, names)
    blend = float(rng.uniform(0.0, 1.0)) if rng.random() < 0.4 else 0.0
    strength = float(rng.uniform(0.45, 1.25))
    parts = _add(_recipe(rng, VISEMES[first], strength * (1 - blend)), _recipe(rng, VISEMES[second], strength * blend))
    if rng.random() < 0.35:
        parts = _add(parts, _recipe(rng, {"browInnerUp": 0.4, "browOuterUp": 0.4}, float(rng.uniform(0.2, 1))))
    return parts


def _random(rng: Generator) -> dict[str, float]:
    count = int(rng.integers(3, 9))
    out: dict[str, float] = {}
    for index in rng.choice(len(_FREE), count, replace=False):
        name = _FREE[int(index)]
        value = float(rng.beta(1.3, 1.8)) * (0.8 if name == "jawOpen" else 1.0)
        stem, _, side = name.partition("_")
        out[name] = value
        if side and rng.random() < 0.6:  # most muscles act on both sides
            out[f"{stem}_{'R' if side == 'L' else 'L'}"] = min(1.0, max(0.0, value * float(rng.normal(1.0, 0.15))))
    if rng.random() < 0.25:  # lips that stay together over an open jaw
        out["jawOpen"] = max(out.get("jawOpen", 0.0), float(rng.uniform(0.15, 0.5)))
        out["mouthClose"] = out["jawOpen"] * float(rng.uniform(0.3, 0.9))
    return out


def _extreme(rng: Generator) -> dict[str, float]:
    """A face at the limit in one or several regions, alone or over an emotion."""
    chosen = [region for region, share in _EXTREME_REGIONS.items() if rng.random() < share] or ["mouth"]
    parts: dict[str, float] = {}
    for region in chosen:
        recipes = EXTREMES[region]
        part = _recipe(rng, recipes[_pick(rng, tuple(recipes))], float(rng.uniform(0.6, 1.15)))
        parts = {**parts, **{name: max(value, parts.get(name, 0.0)) for name, value in part.items()}}
    if rng.random() < 0.25:
        parts = _add(parts, _emotion(rng, intensity=float(rng.uniform(0.1, 0.5))))
    return parts


def _small_noise(rng: Generator) -> dict[str, float]:
    """Faint tension that a real resting face has."""
    return {_FREE[int(i)]: float(abs(rng.normal(0.0, 0.06))) for i in rng.choice(len(_FREE), 6, replace=False)}


def sample_gaze(rng: Generator) -> tuple[float, float]:
    """Gaze in degrees: often at the camera, mostly near it, sometimes far aside."""
    u = float(rng.random())
    if u < 0.3:
        return 0.0, 0.0
    spread = 1.0 if u < 0.7 else 2.2
    yaw, pitch = float(rng.normal(0.0, 9.0 * spread)), float(rng.normal(-0.5, 5.0 * spread))
    return max(-30.0, min(30.0, yaw)), max(-20.0, min(18.0, pitch))


def sample_expression(rng: Generator, kind: str | None = None) -> ExpressionState:
    """A random facial state.

    Args:
        rng: source of all randomness; the same state of it gives the same expression.
        kind: one of `KINDS`, or an emotion's name; None draws a kind by its weight.

    Raises:
        ExpressionError: for a kind that does not exist.

    Example:
        >>> import numpy as np
        >>> from mien.studio import sample_expression
        >>> sample_expression(np.random.default_rng(0)) == sample_expression(np.random.default_rng(0))
        True
    """
    total = sum(KINDS.values())
    kind = kind or _pick(rng, tuple(KINDS), tuple(weight / total for weight in KINDS.values()))
    gaze = sample_gaze(rng)
    parts: dict[str, float]
    if kind in EMOTIONS[1:]:
        parts = _emotion(rng, kind)
    elif kind == "neutral":
        parts = {}
    elif kind == "emotion":
        parts = _emotion(rng)
    elif kind == "speech":
        parts = _speech(rng)
    elif kind == "speech-emotion":
        parts = _add(_emotion(rng, intensity=float(rng.uniform(0.25, 0.8))), _speech(rng))
    elif kind == "gesture":
        parts = _recipe(rng, GESTURES[_pick(rng, tuple(GESTURES))], float(rng.uniform(0.4, 1.1)))
    elif kind == "wink":
        closed = "L" if rng.random() < 0.5 else "R"
        around = {name: value for name, value in GESTURES["wink"].items() if name != "eyeBlink_L"}
        parts = _recipe(rng, around, float(rng.uniform(0, 1)), mirror=closed == "R")
        parts[f"eyeBlink_{closed}"] = float(rng.uniform(0.75, 1.0))
    elif kind == "blink":
        shut = float(rng.uniform(0.35, 1.0))
        parts = _add(_emotion(rng, intensity=float(rng.uniform(0.0, 0.5))), {"eyeBlink_L": shut, "eyeBlink_R": shut})
    elif kind == "mixture":
        share = float(rng.uniform(0.25, 0.75))
        parts = _add(_emotion(rng, intensity=share), _emotion(rng, intensity=1.0 - share))
    elif kind == "random":
        parts = _random(rng)
    elif kind == "extreme":
        parts = _extreme(rng)
        if rng.random() < 0.2:
            gaze = float(rng.uniform(-35.0, 35.0)), float(rng.uniform(-22.0, 20.0))
    else:
        raise ExpressionError(f"There is no kind of expression called {kind!r}; choose from {', '.join(KINDS)}.")
    if kind != "blink" and rng.random() < 0.06:
        shut = float(rng.uniform(0.5, 1.0))
        parts = _add(parts, {"eyeBlink_L": shut, "eyeBlink_R": shut})
    parts = _add(parts, _small_noise(rng))
    flush = parts.pop(FLUSH, 0.0) + (float(rng.uniform(0.3, 1.0)) if rng.random() < 0.05 else 0.0)
    return ExpressionState.build(plausible(parts), gaze, flush)


def photo_like_expression(rng: Generator, calm: bool = False) -> ExpressionState:
    """What people do on photographs of themselves: neutral, mild, or happy; eyes open and near the camera.

    Args:
        rng: source of all randomness.
        calm: True gives a nearly neutral face that looks straight into the camera.
    """
    if calm:
        parts = _add(_small_noise(rng), _emotion(rng, "happy", float(rng.uniform(0.0, 0.15))))
        gaze = (0.0, 0.0)
    else:
        u = float(rng.random())
        if u < 0.30:
            parts = {}
        elif u < 0.80:
            parts = _emotion(rng, "happy", float(rng.uniform(0.15, 1.0)))
        else:
            parts = _emotion(rng, intensity=float(rng.uniform(0.08, 0.25)))
        parts = _add(parts, _small_noise(rng))
        gaze = (float(rng.normal(0.0, 2.5)), float(rng.normal(0.0, 1.5)))
    parts = {name: value for name, value in parts.items() if not name.startswith("eyeBlink")}
    return ExpressionState.build(plausible({k: v for k, v in parts.items() if k != FLUSH}), gaze, parts.get(FLUSH, 0.0))
