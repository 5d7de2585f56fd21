"""Is a template worth training on: the expression still there, the person gone, the picture whole?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.idi.request import Thresholds
from mien.errors import BadInput
from mien.faces.types import Face
from mien.metrics.expression import exp_distance, lms_distance


@dataclass(frozen=True, eq=False)
class Read:
    """A picture and what is read in it.

    Attributes:
        image: uint8 [H, W, 3].
        face: None where no face was found.
        identity: embedding [512], L2 norm 1; None without a face.
    """

    image: NDArray[np.uint8]
    face: Face | None
    identity: NDArray[np.float32] | None


@dataclass(frozen=True)
class Verdict:
    """What the filters measured and said; numbers are None where there is no face.

    Attributes:
        exp, lms, identity, sharpness: see :class:`Thresholds`.
        quality: of LIQE, 1 to 5; None where it is not asked.
        reason: ``kept``, or the first filter that the template did not pass.
    """

    exp: float | None
    lms: float | None
    identity: float | None
    sharpness: float | None
    reason: str
    quality: float | None = None

    @property
    def kept(self) -> bool:
        """Whether it passed all."""
        return self.reason == "kept"

    def columns(self) -> dict[str, Any]:
        """Its part of a manifest's row."""
        return asdict(self) | {"kept": self.kept}


def judge_template(
    template: Read, target: Read, limits: Thresholds, quality: Callable[[NDArray[np.uint8]], float] | None = None
) -> Verdict:
    """Hold a template against the picture whose expression it is to show.

    Args:
        template: S.
        target: E.
        limits: what S must pass.
        quality: LIQE, where it is asked.
    """
    if template.face is None or target.face is None:
        return Verdict(None, None, None, None, "no face" if template.face is None else "no face in the target")
    assert template.identity is not None and target.identity is not None
    exp = float(exp_distance(_required(target.face.blendshapes), _required(template.face.blendshapes)))
    lms = float(lms_distance(_required(target.face.landmarks), _required(template.face.landmarks)))
    identity = float(template.identity @ target.identity)
    sharp = sharpness(template) / max(sharpness(target), 1e-6)
    figures = {"exp": exp, "lms": lms, "identity": identity, "sharpness": sharp}
    rounded = {name: round(value, 5) for name, value in figures.items()}  # as the manifest has them
    seen = None if quality is None else round(quality(template.image), 3)
    return Verdict(**rounded, reason=_reason({**rounded, "quality": seen}, limits), quality=seen)


def _reason(figures: Mapping[str, Any], limits: Thresholds) -> str:
    """``kept``, or the first filter that these figures do not pass."""
    within = figures["exp"] <= limits.exp, figures["lms"] <= limits.lms
    if limits.direction == "keep" and not all(within):
        return "lms" if within[0] else "exp"
    if limits.direction == "exclude" and all(within):
        return "exp and lms"
    if figures["identity"] > limits.identity:
        return "identity"
    if figures["sharpness"] < limits.sharpness:
        return "sharpness"
    quality = figures["quality"]
    return "quality" if quality is not None and limits.quality is not None and quality < limits.quality else "kept"


def judged_again(row: Mapping[str, Any], limits: Thresholds) -> dict[str, Any]:
    """A row of a manifest as these thresholds see its figures; without a face it stays what it was."""
    row = {"quality": None, **row}  # parts of an interrupted build of 0.1.0 do not tell it
    if row["exp"] is None:
        return row
    reason = _reason(row, limits)
    return {**row, "reason": reason, "kept": reason == "kept"}


def _required(values: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """What the reader gives.

    Raises:
        BadInput: if it gives no such thing.
    """
    if values is None:
        raise BadInput("This reader gives no blendshapes or no landmarks, which the filters need; choose another.")
    return values


def sharpness(read: Read) -> float:
    """Variance of the Laplacian of the face's grey levels, a free stand-in for a picture-quality network (*ours*)."""
    assert read.face is not None
    x0, y0, x1, y1 = (round(float(value)) for value in read.face.box)
    grey = read.image[max(y0, 0) : max(y1, 3), max(x0, 0) : max(x1, 3)].astype(np.float64).mean(-1)
    if min(grey.shape) < 3:
        return 0.0
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(laplacian.var())


def calibrated(pairs: list[tuple[Read, Read]], base: Thresholds, percentile: float = 90.0) -> Thresholds:
    """Thresholds of Exp and LMS from pairs that are known to be good: the given percentile of each.

    Args:
        pairs: (template, target) whose expressions are the same by construction.
        base: the other thresholds.
        percentile: 90, so that one good pair in ten is lost.

    Raises:
        BadInput: if no pair has faces on both sides.
    """
    scores = [judge_template(*pair, base) for pair in pairs]
    values = [(one.exp, one.lms) for one in scores if one.exp is not None and one.lms is not None]
    if not values:
        raise BadInput(
            "No face was read in any picture to calibrate on: draw with another --model, or leave --calibrate out and "
            "give --exp and --lms."
        )
    exp, lms = np.percentile(np.array(values), percentile, axis=0)
    return base.model_copy(update={"exp": round(float(exp), 4), "lms": round(float(lms), 4)})
