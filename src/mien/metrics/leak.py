"""Identity leak: similarity to the wanted person against that to the person whose expression was taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.metrics.identity import cosine


def angle(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Angle in degrees between embeddings [..., D] -> [...].

    Example:
        >>> from mien.metrics.leak import angle
        >>> round(float(angle([1.0, 0.0], [0.0, 1.0])), 6)
        90.0
    """
    return np.degrees(np.arccos(np.clip(cosine(first, second), -1.0, 1.0)))


def leak(generated: ArrayLike, wanted: ArrayLike, template: ArrayLike) -> NDArray[np.float64]:
    """(angle(generated, wanted) - angle(generated, template)) / angle(wanted, template), in [-1, 1]; lower is better.

    WithAnyone's copy-paste score, turned to the template's identity: -1 is the wanted person, 1 the person of the
    template, 0 as near to the one as to the other (which two strangers are as well: read it beside the cosines).

    Args:
        generated: embeddings of outputs [..., D].
        wanted: of the identity pictures.
        template: of the pictures that expression or landmarks were taken from.

    Returns:
        [...]; NaN where wanted and template are the same embedding.

    Example:
        >>> from mien.metrics.leak import leak
        >>> wanted, template = [1.0, 0.0], [0.0, 1.0]
        >>> float(leak(wanted, wanted, template)), float(leak(template, wanted, template))
        (-1.0, 1.0)
    """
    apart = angle(wanted, template)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = (angle(generated, wanted) - angle(generated, template)) / apart
    return np.where(apart > 1e-6, score, np.nan)
