"""Expressions by name and by blendshapes."""

from __future__ import annotations

from collections.abc import Mapping

from mien.conditions import EMOTIONS
from mien.faces.linear.arkit import kit_from_blendshapes
from mien.faces.linear.recipes import EMOTION_RECIPES, FLUSH, both_sides, plausible
from mien.faces.linear.state import ExpressionError, ExpressionState


def preset_expression(emotion: str, intensity: float = 1.0, variant: int = 0) -> ExpressionState:
    """An emotion's face without any randomness.

    Args:
        emotion: one of `EMOTIONS`.
        intensity: 0 (neutral) to 1 (full).
        variant: which of the emotion's recipes; 0 is the canonical one.

    Raises:
        ExpressionError: for an unknown emotion or an intensity outside [0, 1].
    """
    if emotion not in EMOTIONS:
        raise ExpressionError(f"There is no emotion called {emotion!r}; choose from {', '.join(EMOTIONS)}.")
    if not 0.0 <= intensity <= 1.0:
        raise ExpressionError(f"The intensity of {emotion} must lie between 0 and 1, not {intensity:g}.")
    variants = EMOTION_RECIPES[emotion]
    parts = {name: value * intensity for name, value in both_sides(variants[variant % len(variants)]).items()}
    flush = parts.pop(FLUSH, 0.0)
    return ExpressionState.build(plausible(parts), flush=flush)


def _gaze_of(coefficients: Mapping[str, float]) -> tuple[float, float]:
    """Gaze in degrees that `eyeLook*` coefficients ask for: the inverse of `gaze_coefficients`, eyes averaged."""

    def mean(*names: str) -> float:
        return sum(coefficients.get(name, 0.0) for name in names) / 2.0

    left = mean("eyeLookOut_L", "eyeLookIn_R")
    right = mean("eyeLookIn_L", "eyeLookOut_R")
    up, down = mean("eyeLookUp_L", "eyeLookUp_R"), mean("eyeLookDown_L", "eyeLookDown_R")
    return 35.0 * (left - right), 30.0 * (up - down)


def expression_from_blendshapes(scores: Mapping[str, float]) -> ExpressionState:
    """The state of a {name: value} request, as `--blendshape jawOpen=0.6` gives it.

    Names may be MediaPipe's, the kit's, or stems that mean both sides; `_neutral` is ignored; `eyeLook*` turns the
    eyes as well as the lids. Values are taken as they are: no limit on combinations is put in.

    Raises:
        ExpressionError: for a name that does not exist or a value outside [0, 1].
    """
    wanted = {name: value for name, value in scores.items() if name != "_neutral"}
    for name, value in wanted.items():
        if not 0.0 <= value <= 1.0:
            raise ExpressionError(f"The blendshape {name} must lie between 0 and 1, not {value:g}.")
    try:
        coefficients = kit_from_blendshapes(wanted)
    except KeyError as error:
        raise ExpressionError(
            f"There is no blendshape called {error.args[0]!r}; use ARKit's names, such as jawOpen or mouthSmileLeft."
        ) from None
    return ExpressionState.build(coefficients, _gaze_of(coefficients))
