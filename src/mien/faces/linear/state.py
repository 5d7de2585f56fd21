"""What a studio face does: 53 driven coefficients, where the eyes look, and how flushed the skin is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.errors import MienError
from mien.faces.linear.arkit import KIT_INDEX, KIT_NAMES

if TYPE_CHECKING:
    import numpy as np

MAX_GAZE = (40.0, 30.0)
"""Largest gaze angles in degrees (yaw, pitch)."""

EYE_PITCH = 0.85
"""Eyeballs turn a little less up and down than the gaze says; the lids do the rest (*inferred*)."""


class ExpressionError(MienError):
    """An expression that cannot be built from what was asked."""


def gaze_coefficients(gaze: tuple[float, float]) -> dict[str, float]:
    """The lids' `eyeLook*` coefficients that go with a gaze in degrees (yaw + subject's left, pitch + up).

    The kit's `eyeLook*` shapes move the lids only (the eyeballs are rotated by the renderer); 35 degrees sideways
    or 30 degrees up or down are a coefficient of 1 (*inferred* from the prototype).
    """
    yaw, pitch = gaze
    out: dict[str, float] = {}
    for side, outward in (("L", yaw), ("R", -yaw)):
        out[f"eyeLook{'Up' if pitch > 0 else 'Down'}_{side}"] = min(1.0, abs(pitch) / 30.0)
        out[f"eyeLook{'Out' if outward > 0 else 'In'}_{side}"] = min(1.0, abs(outward) / 35.0)
    return out


def gaze_from_lids(coefficients: Mapping[str, float]) -> tuple[float | None, float | None]:
    """The gaze in degrees that kit-named `eyeLook*` coefficients stand for: `gaze_coefficients` the other way round.

    Args:
        coefficients: kit name -> [0, 1]; others than `eyeLook*` are ignored.

    Returns:
        (yaw, pitch), the mean of the eyes of which a coefficient is named; None where none of that axis is.
    """
    outward = {"L": 35.0, "R": -35.0}
    yaws, pitches = [], []
    for side, unit in outward.items():
        named = {name: coefficients.get(f"eyeLook{name}_{side}") for name in ("Out", "In", "Up", "Down")}
        if named["Out"] is not None or named["In"] is not None:
            yaws.append(unit * ((named["Out"] or 0.0) - (named["In"] or 0.0)))
        if named["Up"] is not None or named["Down"] is not None:
            pitches.append(30.0 * ((named["Up"] or 0.0) - (named["Down"] or 0.0)))
    return (sum(yaws) / len(yaws) if yaws else None), (sum(pitches) / len(pitches) if pitches else None)


@dataclass(frozen=True)
class ExpressionState:
    """One facial state.

    Attributes:
        coefficients: 53 values in [0, 1], order `KIT_NAMES`. They already hold the lids' `eyeLook*` that belong to
            `gaze`: a renderer applies them as they are and rotates the eyeballs by `gaze`, and adds nothing.
        gaze: degrees relative to the head, (yaw, pitch); yaw + to the subject's left, pitch + up.
        flush: 0..1, emotional redness of cheeks, nose and ears.

    Example:
        >>> from mien.studio import ExpressionState
        >>> ExpressionState(gaze=(10.0, 0.0)).gaze
        (10.0, 0.0)
    """

    coefficients: tuple[float, ...] = (0.0,) * len(KIT_NAMES)
    gaze: tuple[float, float] = (0.0, 0.0)
    flush: float = 0.0

    def __post_init__(self) -> None:
        if len(self.coefficients) != len(KIT_NAMES):
            raise ExpressionError(f"An expression has {len(KIT_NAMES)} coefficients, not {len(self.coefficients)}.")
        for name, value in zip(KIT_NAMES, self.coefficients, strict=True):
            if not -0.001 <= value <= 1.001:
                raise ExpressionError(f"The coefficient {name} must lie between 0 and 1, not {value:g}.")
        if not (len(self.gaze) == 2 and all(abs(g) <= limit for g, limit in zip(self.gaze, MAX_GAZE, strict=True))):
            raise ExpressionError(f"The gaze must lie within {MAX_GAZE} degrees (yaw, pitch), not {self.gaze}.")
        if not 0.0 <= self.flush <= 1.0:
            raise ExpressionError(f"The flush must lie between 0 and 1, not {self.flush:g}.")

    @classmethod
    def build(
        cls, coefficients: Mapping[str, float], gaze: tuple[float, float] = (0.0, 0.0), flush: float = 0.0
    ) -> ExpressionState:
        """State of kit-named coefficients, clipped to [0, 1]; the lids follow the gaze.

        Values are rounded to 4 decimals, so that a state written to JSON and read back is the same state.
        """
        values = dict(coefficients)
        for name, value in gaze_coefficients(gaze).items():
            values[name] = max(value, values.get(name, 0.0))
        row = [0.0] * len(KIT_NAMES)
        for name, value in values.items():
            row[KIT_INDEX[name]] = round(min(1.0, max(0.0, float(value))), 4)
        yaw, pitch = (round(max(-limit, min(limit, float(g))), 2) for g, limit in zip(gaze, MAX_GAZE, strict=True))
        return cls(tuple(row), (yaw, pitch), round(min(1.0, max(0.0, float(flush))), 4))

    def named(self) -> dict[str, float]:
        """The coefficients that are not zero, by kit name."""
        return {name: value for name, value in zip(KIT_NAMES, self.coefficients, strict=True) if value}

    def array(self) -> np.ndarray:
        """The coefficients as float32 [53]."""
        import numpy as np

        return np.asarray(self.coefficients, np.float32)
