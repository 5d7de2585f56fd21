"""Captions: what is visible, in varied sentences of a small closed vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mien.captions import words
from mien.conditions import Emotion
from mien.faces.linear.emotions import emotion_of
from mien.faces.linear.state import ExpressionState

if TYPE_CHECKING:
    from numpy.random import Generator

_OPENINGS = ("portrait of {}", "photo of {}", "close-up portrait of {}", "headshot of {}", "{}")

Keep = Callable[[float], bool]


def _everything(probability: float) -> bool:
    return probability > 0.0


def _join(parts: list[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _subject(attributes: Mapping[str, Any], keep: Keep, years: bool) -> str:
    who = words.noun(attributes) if keep(0.85) else "person"
    phrase = f"a {who}"
    if keep(0.7):
        decade, age = words.decade(attributes), words.age_word(attributes)
        if years and decade:
            phrase = f"{phrase} in {words.possessive(who)} {decade}"
        elif age:
            phrase = words.with_article(f"{age} {who}")
    features = [
        words.skin(attributes) if keep(0.5) else "",
        words.hair(attributes) if keep(0.85) else "",
        words.beard(attributes) if keep(0.85) else "",
        "freckles" if attributes.get("freckles") and keep(0.7) else "",
        words.make_up(attributes) if keep(0.5) else "",
        words.glasses(attributes, keep(0.5)) if keep(0.9) else "",
        *attributes.get("features", ()),
    ]
    features = [feature for feature in features if feature]
    return f"{phrase} with {_join(features)}" if features else phrase


def _surroundings(attributes: Mapping[str, Any], keep: Keep) -> list[str]:
    garment, headwear = words.clothing(attributes), words.headwear(attributes)
    # No dice for what is not there: captions without headwear stay what they were.
    worn = [headwear] if headwear and keep(0.9) else []
    worn += [garment] if garment and keep(0.6) else []
    return [
        f"wearing {_join(worn)}" if worn else "",
        words.background(attributes) if keep(0.7) else "",
        str(attributes.get("light", "")) if keep(0.5) else "",
        *attributes.get("around", ()),
    ]


def compose(
    attributes: Mapping[str, Any],
    state: ExpressionState,
    emotion: Emotion,
    pose: tuple[float, float, float],
    rng: Generator,
) -> str:
    """A caption with random parts left out; see `mien.studio.captions.caption`."""

    def keep(probability: float) -> bool:
        return bool(rng.random() < probability)

    opening = _OPENINGS[int(rng.integers(len(_OPENINGS)))]
    subject = opening.format(_subject(attributes, keep, years=keep(0.5)))
    face = _face(state, emotion, pose, keep)
    around = _surroundings(attributes, keep)
    if keep(0.2):
        around.reverse()
    rest = [*around, *face] if keep(0.15) else [*face, *around]
    return ", ".join(part for part in (subject, *rest) if part)


def _face(state: ExpressionState, emotion: Emotion, pose: tuple[float, float, float], keep: Keep) -> list[str]:
    return [
        words.feeling(state, emotion) if keep(0.85) else "",
        words.eyes(state) if keep(0.75) else "",
        words.turning(pose) if keep(0.7) else "",
    ]


def describe_face(state: ExpressionState, pose: tuple[float, float, float]) -> str:
    """What a face does and where it looks, such as "looking sad, eyes closed, head turned to the left"; may be empty.

    Args:
        state: the expression.
        pose: (yaw, pitch, roll) in degrees.
    """
    return ", ".join(part for part in _face(state, emotion_of(state), pose, _everything) if part)


def describe(attributes: Mapping[str, Any], face: str = "") -> str:
    """A caption of who is visible, without pose or expression, from as many attributes as there are.

    Keys are those of `mien.data.schema.Attributes`; missing ones are not mentioned. Used to put into words what a
    reader saw on a photograph.

    Args:
        attributes: what is known; ``features`` and ``around`` are phrases of a user's (`with_description`).
        face: what the face does, see `describe_face`; said before clothes and background.
    """
    parts = [_subject(attributes, _everything, years=True), face, *_surroundings(attributes, _everything)]
    return "portrait of " + ", ".join(part for part in parts if part)
