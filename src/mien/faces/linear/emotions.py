"""The emotion label of a driven facial state: what the face shows, decided from all of its coefficients.

The label is a function of the driven coefficients and the flush, not of anything read from the picture. It weighs up
what landmarks show badly (`noseSneer`, `cheekPuff`, `browDown`, the flush), so that an emotion condition has
something to say that a landmark picture does not. All numbers here are *inferred*.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from mien.conditions import CIRCUMPLEX, EMOTIONS, Emotion
from mien.faces.linear.arkit import KIT_INDEX, KIT_NAMES
from mien.faces.linear.recipes import EMOTION_RECIPES, FLUSH, both_sides, mirrored
from mien.faces.linear.state import ExpressionState

if TYPE_CHECKING:
    import numpy as np

_WEIGHTS: Mapping[str, float] = {
    "browDown": 1.4, "noseSneer": 1.6, "cheekPuff": 0.7, "mouthSmile": 1.4, "mouthFrown": 1.4, "mouthDimple": 1.1,
    "eyeWide": 1.3, "browInnerUp": 1.2, "mouthStretch": 1.1, "cheekSquint": 0.8, "eyeBlink": 0.4, "eyeSquint": 0.6,
    "jawOpen": 0.5, "mouthFunnel": 0.5, "mouthPucker": 0.5, "mouthClose": 0.3, "mouthRollLower": 0.5,
    "mouthRollUpper": 0.5, "jawLeft": 0.4, "jawRight": 0.4, "jawForward": 0.5, "mouthUpperUp": 0.8,
    "mouthLowerDown": 0.6, "eyeLookUp": 0.0, "eyeLookDown": 0.0, "eyeLookIn": 0.0, "eyeLookOut": 0.0,
}  # fmt: skip
"""How much a coefficient says about feeling; speech muscles say little, gaze nothing; 1 where not named."""

_FLUSH_WEIGHT = 0.45
_NEUTRAL_LOGIT = 2.2
_GAIN = 9.0


def _row(recipe: Mapping[str, float]) -> np.ndarray:
    import numpy as np

    row = np.zeros(len(KIT_NAMES) + 1)
    for name, value in recipe.items():
        row[-1 if name == FLUSH else KIT_INDEX[name]] = value
    return row


@cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights [54], weighted prototypes [P, 54], class of each prototype [P] (1..7)."""
    import numpy as np

    weights = np.array([*(_WEIGHTS.get(name.partition("_")[0], 1.0) for name in KIT_NAMES), _FLUSH_WEIGHT])
    rows: list[np.ndarray] = []
    classes: list[int] = []
    for index, emotion in enumerate(EMOTIONS[1:], start=1):
        for recipe in EMOTION_RECIPES[emotion]:
            sides = both_sides(recipe)
            faces = [sides] if mirrored(sides) == sides else [sides, mirrored(sides)]
            for face in faces:
                rows.append(_row(face) * weights)
                classes.append(index)
    return weights, np.array(rows), np.array(classes)


def emotion_strengths(state: ExpressionState) -> dict[str, float]:
    """How strongly the face shows each of the seven emotions, 0 to about 1.

    For each prototype p (a recipe at full strength) the strength is the projection of the weighted state x on it,
    times the cosine between them to the power 1.5, which is what tells like expressions apart; a class takes its best
    prototype.
    """
    import numpy as np

    weights, prototypes, classes = _tables()
    x = np.array([*state.coefficients, state.flush]) * weights
    dots = prototypes @ x
    lengths = (prototypes**2).sum(1)
    cosine = dots / np.maximum(np.sqrt(lengths) * max(float(np.linalg.norm(x)), 1e-9), 1e-9)
    score = np.clip(dots / lengths, 0.0, 1.2) * np.clip(cosine, 0.0, 1.0) ** 1.5
    return {name: float(score[classes == index].max()) for index, name in enumerate(EMOTIONS[1:], start=1)}


def emotion_of(state: ExpressionState) -> Emotion:
    """The emotion of a facial state: deterministic, from the driven coefficients and the flush alone.

    Shares grow as exp(gain * strength) - 1, so that a class that does not show at all has probability 0, and neutral
    has a fixed share: a face at a quarter of an emotion is still half neutral. Valence and arousal are the circumplex
    places of the classes under those probabilities, moved a little by what the classes do not say: lowered lids calm,
    an open mouth, wide eyes and a flushed skin excite.
    """
    import numpy as np

    strengths = emotion_strengths(state)
    shares = np.array([np.exp(_NEUTRAL_LOGIT), *(np.expm1(_GAIN * strengths[name]) for name in EMOTIONS[1:])])
    p = [round(float(v), 5) for v in shares / shares.sum()]
    p[int(np.argmax(p))] += 1.0 - sum(p)
    places = np.array([CIRCUMPLEX[name] for name in EMOTIONS])
    valence, arousal = (float(v) for v in np.asarray(p) @ places)
    c = dict(zip(KIT_NAMES, state.coefficients, strict=True))
    lids = min(c["eyeBlink_L"], c["eyeBlink_R"])
    arousal += 0.20 * c["jawOpen"] + 0.10 * (c["eyeWide_L"] + c["eyeWide_R"]) / 2 + 0.12 * state.flush - 0.40 * lids
    valence += 0.10 * (c["mouthSmile_L"] + c["mouthSmile_R"] - c["mouthFrown_L"] - c["mouthFrown_R"]) / 2
    return Emotion(tuple(p), round(max(-1.0, min(1.0, valence)), 4), round(max(-1.0, min(1.0, arousal)), 4))
