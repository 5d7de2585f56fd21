"""EmojiDiff's two measures of an expression's transfer (supplement, A.3)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPSILON = 1e-5

# (numerator, denominator) pairs of Eq. 2; the paper calls 33/133 the left eye, which is the subject's right
_RATIOS = (
    ((145, 159), (133, 33)),
    ((133, 468), (133, 33)),
    ((374, 386), (263, 362)),
    ((263, 473), (263, 362)),
    ((17, 0), (291, 61)),
)
RATIO_NAMES = ("right_eye", "right_pupil", "left_eye", "left_pupil", "mouth")
"""Names of the five ratios by the subject's side, in the order of the paper."""


def exp_distance(
    reference: ArrayLike, generated: ArrayLike, reduction: Literal["mean", "sum"] = "mean"
) -> NDArray[np.float64]:
    """Exp: absolute difference of 52 blendshapes (EmojiDiff supplement, Eq. 1); lower is better.

    The equation is a sum; the values in the paper's tables fit the mean over 52, which is the default.

    Args:
        reference: [..., 52] in [0, 1], MediaPipe order with ``_neutral`` first.
        generated: [..., 52].
        reduction: "mean" or "sum" over the blendshapes.

    Returns:
        [...].

    Raises:
        ValueError: if the last axis is not 52.

    Example:
        >>> import numpy as np
        >>> from mien.metrics.expression import exp_distance
        >>> rest, wry = np.zeros(52), np.full(52, 0.25)
        >>> float(exp_distance(rest, wry)), float(exp_distance(rest, wry, "sum"))
        (0.25, 13.0)
    """
    a, b = np.asarray(reference, np.float64), np.asarray(generated, np.float64)
    if a.shape[-1] != 52 or b.shape[-1] != 52:
        raise ValueError(f"expected 52 blendshapes, got {a.shape[-1]} and {b.shape[-1]}")
    difference = np.abs(a - b)
    return difference.sum(-1) if reduction == "sum" else difference.mean(-1)


def movement_ratios(landmarks: ArrayLike) -> NDArray[np.float64]:
    """The five ratios of EmojiDiff's supplement, Eq. 2: how far eyes, pupils and mouth have moved.

    Convention:
        2-D distances in pixels. Normalised coordinates of a picture that is not square give wrong ratios: multiply x by
        its width and y by its height first.

    Args:
        landmarks: [..., 478, 2 or 3] pixels.

    Returns:
        [..., 5], order ``RATIO_NAMES``.

    Example:
        >>> import mien
        >>> from mien.metrics.expression import RATIO_NAMES, movement_ratios
        >>> face, laugh = mien.read(["me.jpg", "friend.jpg"], reader="studio")
        >>> mouth = RATIO_NAMES.index("mouth")
        >>> bool(movement_ratios(laugh.landmarks)[mouth] > movement_ratios(face.landmarks)[mouth])
        True
    """
    points = np.asarray(landmarks, np.float64)[..., :2]

    def distance(pair: tuple[int, int]) -> NDArray[np.float64]:
        return np.linalg.norm(points[..., pair[0], :] - points[..., pair[1], :], axis=-1)

    return np.stack([distance(top) / np.maximum(EPSILON, distance(bottom)) for top, bottom in _RATIOS], -1)


def lms_distance(reference: ArrayLike, generated: ArrayLike) -> NDArray[np.float64]:
    """LMS: sum of the absolute differences of the five ratios (EmojiDiff supplement, Eq. 3); lower is better.

    Args:
        reference: [..., 478, 2 or 3] pixels of its own picture.
        generated: [..., 478, 2 or 3] pixels of its own picture.

    Example:
        >>> import mien
        >>> from mien.metrics.expression import lms_distance
        >>> face, laugh = mien.read(["me.jpg", "friend.jpg"], reader="studio")
        >>> bool(lms_distance(face.landmarks, laugh.landmarks) > lms_distance(face.landmarks, face.landmarks))
        True
    """
    return np.abs(movement_ratios(reference) - movement_ratios(generated)).sum(-1)


def coefficient_distance(reference: ArrayLike, generated: ArrayLike) -> NDArray[np.float64]:
    """Mean absolute difference of driven coefficients [..., 53] -> [...]; the studio's own measure; lower is better.

    Example:
        >>> import numpy as np
        >>> from mien.metrics.expression import coefficient_distance
        >>> float(coefficient_distance(np.zeros(53), np.full(53, 0.25)))
        0.25
    """
    return np.abs(np.asarray(reference, np.float64) - np.asarray(generated, np.float64)).mean(-1)
