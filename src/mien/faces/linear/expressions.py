"""Expressions by name."""

from __future__ import annotations

from mien.conditions import EMOTIONS
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

    Example:
        >>> from mien.studio import preset_expression
        >>> max(preset_expression("happy").coefficients) > max(preset_expression("happy", 0.5).coefficients)
        True
    """
    if emotion not in EMOTIONS:
        raise ExpressionError(f"There is no emotion called {emotion!r}; choose from {', '.join(EMOTIONS)}.")
    if not 0.0 <= intensity <= 1.0:
        raise ExpressionError(f"The intensity of {emotion} must lie between 0 and 1, not {intensity:g}.")
    variants = EMOTION_RECIPES[emotion]
    parts = {name: value * intensity for name, value in both_sides(variants[variant % len(variants)]).items()}
    flush = parts.pop(FLUSH, 0.0)
    return ExpressionState.build(plausible(parts), flush=flush)
