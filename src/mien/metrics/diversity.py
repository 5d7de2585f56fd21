"""How much the pictures of one identity differ among themselves (FaceCrafter Tables 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mean_identity_std(samples: ArrayLike) -> float:
    """Norm over the coefficients of their standard deviation over K samples, averaged over identities; higher is more.

    The protocol of Arc2Face, which FaceCrafter follows with K = 8 (*inferred*): 0 for one picture again and again. The
    deviation is that of the samples at hand (divided by K), so values of different K do not compare.

    Args:
        samples: [identities, K, D] expression or pose parameters; K of at least 2.

    Raises:
        ValueError: for fewer than two samples an identity.

    Example:
        >>> from mien.metrics.diversity import mean_identity_std
        >>> mean_identity_std([[[0.0], [2.0]], [[0.0], [4.0]]])  # two people, two samples of one parameter each
        1.5
    """
    return float(per_identity_std(samples).mean())


def per_identity_std(samples: ArrayLike) -> NDArray[np.float64]:
    """The same for each identity, [identities]; NaN where a sample is.

    Example:
        >>> from mien.metrics.diversity import per_identity_std
        >>> per_identity_std([[[0.0], [2.0]], [[0.0], [4.0]]]).tolist()
        [1.0, 2.0]
    """
    return np.linalg.norm(_samples(samples).std(axis=1), axis=-1)


def pairwise(samples: ArrayLike) -> float:
    """Mean L2 distance between two different samples of one identity, averaged over identities; arguments as above.

    Example:
        >>> from mien.metrics.diversity import pairwise
        >>> pairwise([[[0.0], [2.0]], [[0.0], [4.0]]])
        3.0
    """
    values = _samples(samples)
    count = values.shape[1]
    first, second = np.triu_indices(count, 1)
    return float(np.linalg.norm(values[:, first] - values[:, second], axis=-1).mean())


def perceptual(samples: Any, distance: Callable[[Any, Any], ArrayLike]) -> NDArray[np.float64]:
    """Mean distance between two different pictures of one identity, such as LPIPS diversity -> [identities].

    Args:
        samples: [identities, K, 3, H, W] in [-1, 1], all of one size and crop.
        distance: (pictures [B, 3, H, W], pictures [B, 3, H, W]) -> [B], such as ``lpips.LPIPS(net="alex")``.

    Example:
        >>> import numpy as np
        >>> from mien.metrics.diversity import perceptual
        >>> pictures = np.zeros((2, 3, 3, 8, 8))
        >>> perceptual(pictures, lambda first, second: np.abs(first - second).mean((1, 2, 3))).tolist()
        [0.0, 0.0]
    """
    first, second = np.triu_indices(len(samples[0]), 1)
    return np.array([np.asarray(distance(one[first], one[second]), np.float64).mean() for one in samples])


def relative(value: float, renderer: float) -> float:
    """A diversity over that of the studio's own renders of the same people: 1 is as diverse; above 1 is not better.

    Example:
        >>> from mien.metrics.diversity import relative
        >>> relative(0.3, renderer=0.6)
        0.5
    """
    return value / renderer


def _samples(samples: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(samples, np.float64)
    if values.ndim != 3 or values.shape[1] < 2:
        raise ValueError(f"expected [identities, samples, coefficients] with 2 samples or more, got {values.shape}")
    return values
