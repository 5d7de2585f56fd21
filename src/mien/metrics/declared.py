"""What each metric is: unit, range, direction, the number of pictures it needs, and its floors.

A name says what a number was read with where more than one thing can read it: ``identity.studio`` is the cosine in the
studio's own embedding, not comparable with ``identity.arcface``. What is declared here is the part before the dot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Declared:
    """A metric.

    Attributes:
        unit: of the value.
        low, high: range; None where it is open.
        better: direction; ``neither`` where it depends on what is wanted.
        minimum: fewest pictures (or pairs) for which the value means anything.
        meaning: one sentence, with the source.
        floor: what its floor is, the level of no control at all; "" where there is none.

    Example:
        >>> from mien.metrics.declared import Declared
        >>> Declared("degree", 0, 180, "lower", 2, "Root mean square error of the head's yaw.").better
        'lower'
    """

    unit: str
    low: float | None
    high: float | None
    better: Better
    minimum: int
    meaning: str
    floor: str = ""


_SHUFFLED = "the same outputs against the other references"

METRICS: dict[str, Declared] = {
    "exp": Declared("blendshape", 0, 1, "lower", 1,
                    "Mean absolute difference of 52 blendshapes (EmojiDiff suppl. Eq. 1; the mean is inferred).",
                    _SHUFFLED),
    "exp_sum": Declared("blendshape", 0, 52, "lower", 1,
                        "The same summed over the 52, as Eq. 1 is printed; the paper's tables fit the mean.",
                        _SHUFFLED),
    "lms": Declared("ratio", 0, None, "lower", 1,
                    "Difference of five ratios of eyes, pupils and mouth in pixels (EmojiDiff suppl. Eq. 2-3).",
                    _SHUFFLED),
    "yaw": Declared("degree", 0, 180, "lower", 2, "Root mean square error of the head's yaw.", _SHUFFLED),
    "pitch": Declared("degree", 0, 180, "lower", 2, "Root mean square error of the head's pitch.", _SHUFFLED),
    "roll": Declared("degree", 0, 180, "lower", 2, "Root mean square error of the head's roll.", _SHUFFLED),
    "identity": Declared("cosine", -1, 1, "higher", 1,
                         "Cosine of face embeddings; between strangers it may be far from 0: read the floor.",
                         "the same outputs against the other people"),
    "valence": Declared("valence", 0, None, "lower", 2,
                        "V-RMSE (FaceCrafter Table 1, read by EmoNet there); 2 at most where readings are clamped.",
                        _SHUFFLED),
    "arousal": Declared("arousal", 0, None, "lower", 2,
                        "A-RMSE (FaceCrafter Table 1, read by EmoNet there); 2 at most where readings are clamped.",
                        _SHUFFLED),
    "emotion_l2": Declared("probability", 0, 2**0.5, "lower", 1,
                           "Norm of the difference of eight class probabilities, which the values of FaceCrafter's "
                           "Dist-RMSE fit (inferred).", _SHUFFLED),
    "emotion_rmse": Declared("probability", 0, 0.5, "lower", 1,
                             "Root mean square over the eight classes, which Dist-RMSE is by its name; it cannot "
                             "exceed 0.5.", _SHUFFLED),
    "emotion_accuracy": Declared("share", 0, 1, "higher", 2,
                                 "Share of outputs whose most likely emotion is the reference's.", _SHUFFLED),
    "expression_l2": Declared("coefficient", 0, None, "lower", 1,
                              "Norm of the difference of 50 FLAME expression coefficients, which the values of "
                              "FaceCrafter's Exp-RMSE fit (inferred).", _SHUFFLED),
    "expression_rmse": Declared("coefficient", 0, None, "lower", 1,
                                "Root mean square over them, which Exp-RMSE is by its name.", _SHUFFLED),
    "rotation_l2": Declared("radian", 0, None, "lower", 1,
                            "Norm of the difference of the head's rotation as FLAME has it, axis-angle (FaceCrafter's "
                            "Pose-RMSE; inferred).", _SHUFFLED),
    "rotation_rmse": Declared("radian", 0, None, "lower", 1, "Root mean square over its three numbers.", _SHUFFLED),
    "lpips": Declared("distance", 0, None, "lower", 1,
                      "LPIPS 0.1 of the two whole pictures, the output resized to the reference.", _SHUFFLED),
    "kid": Declared("squared distance", None, None, "lower", 50, "KID; unbiased, may fall below 0."),
    "frechet": Declared("squared distance", 0, None, "lower", 2400,
                        "Frechet distance in the 120 features of the studio's attribute judge; not an FID, and not "
                        "comparable across numbers of pictures."),
    "fid": Declared("squared distance", 0, None, "lower", 10_000,
                    "Frechet distance in Inception's 2,048 features, with clean-fid's resizing; not comparable across "
                    "numbers of pictures, and below 2,049 of them the covariance is singular."),
}  # fmt: skip
"""Part of the name before the dot -> metric, for ``mien score``."""


def declared(name: str) -> Declared:
    """The metric of a full name, such as ``identity.arcface``.

    Raises:
        KeyError: for an unknown one.

    Example:
        >>> from mien.metrics.declared import declared
        >>> declared("identity.studio").unit
        'cosine'
    """
    return METRICS[name.partition(".")[0]]
