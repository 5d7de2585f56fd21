"""What one can ask of a portrait: who, which expression, which way, what feeling, what words. Typed and checked.

Nothing heavy is imported here; numpy only inside functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mien.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "CIRCUMPLEX",
    "EMBEDDING_WIDTH",
    "EMOTIONS",
    "MAX_POSE",
    "SYNONYMS",
    "Emotion",
    "Identity",
    "NullPrompt",
    "Pose",
]

EMOTIONS: tuple[str, ...] = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
"""Emotion classes in EmoNet's order."""

CIRCUMPLEX: Mapping[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "happy": (0.85, 0.45),
    "sad": (-0.75, -0.40),
    "surprise": (0.15, 0.80),
    "fear": (-0.55, 0.80),
    "disgust": (-0.65, 0.40),
    "anger": (-0.65, 0.75),
    "contempt": (-0.50, 0.20),
}
"""(valence, arousal) of each class at full strength, after Russell's circumplex (1980); the numbers are *inferred*."""

SYNONYMS: Mapping[str, str] = {
    "surprised": "surprise", "afraid": "fear", "disgusted": "disgust", "angry": "anger", "contemptuous": "contempt",
}  # fmt: skip
"""Other words for the classes."""

MAX_POSE = (90.0, 60.0, 60.0)
"""Largest (yaw, pitch, roll) in degrees that a request may name."""

EMBEDDING_WIDTH = 512
"""Length of an identity embedding."""

NullPrompt = Literal["frozen", "trained"]
"""Whose empty prompt e(0) of FaceCrafter's Eq. 6 is where the text encoder was trained.

``frozen`` is the encoder's from before the training, in training and in drawing (*inferred*: guidance then leads away
from what the base knows, and the joint stage cannot move both ends of a difference); ``trained`` is its own.
"""


def _finite(values: Sequence[float], what: str) -> None:
    if not all(math.isfinite(v) for v in values):
        raise BadInput(f"{what} must be finite numbers.")


@dataclass(frozen=True)
class Emotion:
    """A feeling: a distribution over the eight classes and a place on the valence-arousal plane.

    Attributes:
        probabilities: 8 values in [0, 1] that sum to 1, order `EMOTIONS`.
        valence: [-1, 1], unpleasant to pleasant.
        arousal: [-1, 1], calm to excited.

    Example:
        >>> import mien
        >>> mien.Emotion.parse("happy:0.8").label
        'happy'
        >>> mien.Emotion.at(valence=-0.6, arousal=0.8).label
        'fear'
    """

    probabilities: tuple[float, ...]
    valence: float
    arousal: float

    def __post_init__(self) -> None:
        _finite((*self.probabilities, self.valence, self.arousal), "The values of an emotion")
        if len(self.probabilities) != len(EMOTIONS):
            raise BadInput(f"An emotion has {len(EMOTIONS)} probabilities, not {len(self.probabilities)}.")
        if min(self.probabilities) < 0 or abs(sum(self.probabilities) - 1) > 0.01:
            raise BadInput("The probabilities of an emotion must not be negative and must sum to 1.")
        if abs(self.valence) > 1 or abs(self.arousal) > 1:
            raise BadInput("Valence and arousal must lie between -1 and 1.")

    @classmethod
    def mixture(cls, strengths: Mapping[str, float]) -> Emotion:
        """Emotion of {class: strength}; what is left of 1 is neutral, more than 1 in all is scaled down to 1.

        Raises `BadInput` for a name outside `EMOTIONS` or a strength outside [0, 1].
        """
        for name, strength in strengths.items():
            if name not in EMOTIONS:
                near = did_you_mean(name, (*EMOTIONS, *SYNONYMS))
                raise BadInput(f"There is no emotion called {name!r}{near}; choose from {', '.join(EMOTIONS)}.")
            if not 0.0 <= strength <= 1.0:
                raise BadInput(f"The strength of {name} must lie between 0 and 1, not {strength:g}.")
        named = {name: strengths.get(name, 0.0) for name in EMOTIONS[1:]}
        total = sum(named.values())
        scale = 1.0 / max(1.0, total)
        shares = [max(0.0, 1.0 - total * scale), *(value * scale for value in named.values())]
        place = [sum(p * CIRCUMPLEX[name][axis] for p, name in zip(shares, EMOTIONS, strict=True)) for axis in (0, 1)]
        return cls(tuple(shares), place[0], place[1])

    @classmethod
    def of(cls, name: str, strength: float = 1.0) -> Emotion:
        """One class at a strength in [0, 1], the rest neutral, at its place on the circumplex."""
        return cls.mixture({name: strength})

    @classmethod
    def parse(cls, text: str) -> Emotion:
        """Emotion of a command-line word: `happy`, `happy:0.8`, `happy:0.5,surprise:0.5`, or a place, `at:0.5/-0.2`.

        Ten numbers with commas between are what `vector` gives. An equals sign is taken for a colon.
        """
        if text.startswith(("at:", "at=")):
            return cls.parse_place(text.replace("=", ":", 1))
        if text.count(",") == len(EMOTIONS) + 1:
            return cls.of_vector(text.split(","))
        strengths: dict[str, float] = {}
        for part in text.split(","):
            name, _, number = part.strip().replace("=", ":", 1).partition(":")
            try:
                word = name.strip().lower()
                strengths[SYNONYMS.get(word, word)] = float(number) if number else 1.0
            except ValueError:
                raise BadInput(
                    f"Write an emotion as NAME or NAME:STRENGTH (happy:0.8), not {part.strip()!r}."
                ) from None
        return cls.mixture(strengths)

    @classmethod
    def of_vector(cls, values: Sequence[float | str]) -> Emotion:
        """Emotion of valence, arousal and eight probabilities, as `vector` gives them.

        Raises `BadInput` where they are not ten numbers, or out of range.
        """
        try:
            valence, arousal, *probabilities = (float(value) for value in values)
        except (TypeError, ValueError, OverflowError):
            raise BadInput(f"An emotion is valence, arousal and {len(EMOTIONS)} probabilities, all numbers.") from None
        return cls(tuple(probabilities), valence, arousal)

    @classmethod
    def parse_place(cls, text: str) -> Emotion:
        """Emotion of `at:VALENCE/AROUSAL`."""
        valence, _, arousal = text.removeprefix("at:").partition("/")
        try:
            return cls.at(float(valence), float(arousal))
        except ValueError:
            raise BadInput(
                f"Write a place of the circumplex as at:VALENCE/AROUSAL (at:0.5/-0.2), not {text!r}."
            ) from None

    @classmethod
    def at(cls, valence: float, arousal: float) -> Emotion:
        """A place of the valence-arousal plane; classes by nearness to theirs (*inferred*: a Gaussian of 0.25)."""
        _finite((valence, arousal), "Valence and arousal")
        near = [math.exp(-8 * ((valence - v) ** 2 + (arousal - a) ** 2)) for v, a in CIRCUMPLEX.values()]
        total = sum(near)
        if total < 1e-6:  # far from all of them: the nearest, else rounding would decide
            near = [float(value == max(near)) for value in near]
            total = sum(near)
        return cls(tuple(value / total for value in near), valence, arousal)

    @property
    def label(self) -> str:
        """The most probable class."""
        return EMOTIONS[max(range(len(EMOTIONS)), key=self.probabilities.__getitem__)]

    def vector(self) -> list[float]:
        """The condition vector [10]: valence, arousal, then the 8 probabilities."""
        return [self.valence, self.arousal, *self.probabilities]


@dataclass(frozen=True)
class Pose:
    """Head pose in degrees: yaw + to the subject's left, pitch + up, roll + tilts to the subject's left shoulder.

    Example:
        >>> import mien
        >>> mien.Pose(yaw=20).angles
        (20, 0.0, 0.0)
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    def __post_init__(self) -> None:
        _finite(self.angles, "The angles of a pose")
        for name, value, limit in zip(("yaw", "pitch", "roll"), self.angles, MAX_POSE, strict=True):
            if abs(value) > limit:
                raise BadInput(f"The {name} must lie between -{limit:g} and {limit:g} degrees, not {value:g}.")

    @property
    def angles(self) -> tuple[float, float, float]:
        """(yaw, pitch, roll)."""
        return (self.yaw, self.pitch, self.roll)


@dataclass(frozen=True, eq=False)
class Identity:
    """A face embedding [512] of L2 norm 1: who somebody is, for the network that made it.

    Example:
        >>> import mien
        >>> mien.read("me.jpg").identity.vector().shape
        (512,)
    """

    embedding: tuple[float, ...]

    def __post_init__(self) -> None:
        _finite(self.embedding, "The values of an identity")
        if len(self.embedding) != EMBEDDING_WIDTH:
            raise BadInput(f"An identity embedding has {EMBEDDING_WIDTH} values, not {len(self.embedding)}.")
        norm = math.sqrt(sum(v * v for v in self.embedding))
        if abs(norm - 1) > 0.01:
            raise BadInput(f"An identity embedding must have length 1, not {norm:.3f}: divide it by its norm.")

    def __repr__(self) -> str:
        """Short: 512 numbers at a prompt hide everything else, and are biometric data."""
        return f"Identity(<{len(self.embedding)} values>)"

    def vector(self) -> np.ndarray:
        """float32 [512]."""
        import numpy as np

        return np.asarray(self.embedding, np.float32)
