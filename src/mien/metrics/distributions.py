"""Distances between two sets of pictures, in the features of some network: Frechet distance and KID.

The name of the features belongs to the number. With Inception's pool features the Frechet distance is the FID; with a
judge of the studio it is not, and is never called so. Its estimate is biased by the number of pictures (256 numbers a
picture, one and the same distribution: 131 with 256 pictures, 33 with 1,024, 8 with 4,096), and below as many pictures
as features the covariance is singular: never compare across N. KID is unbiased, and the headline.

Kept beside torchmetrics, which ties both distances to modules that hold a network, and takes KID as a mean over random
subsets: here they are functions of any features, on all pairs, with the weights of a bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Labels = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean [D] and covariance [D, D] of N feature vectors; parts of a set are put together with ``+``.

    Attributes:
        count: N.
        mean: [D].
        scatter: sum of outer products of the differences from the mean [D, D].

    Example:
        >>> import numpy as np
        >>> from mien.metrics.distributions import Moments
        >>> features = np.random.default_rng(0).normal(size=(100, 8))
        >>> parts = Moments.of(features[:40]) + Moments.of(features[40:])
        >>> parts.count, np.allclose(parts.covariance, np.cov(features.T))
        (100, True)
    """

    count: int
    mean: Floats
    scatter: Floats

    @classmethod
    def of(cls, features: ArrayLike) -> Moments:
        """Moments of features [N, D]."""
        values = np.asarray(features, np.float64)
        mean = values.mean(0)
        return cls(len(values), mean, (values - mean).T @ (values - mean))

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        step = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), scatter)

    @property
    def covariance(self) -> Floats:
        """Unbiased covariance [D, D], divided by N - 1 as pytorch-fid does."""
        return self.scatter / (self.count - 1)


def frechet_distance(first: Moments, second: Moments) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson & Landau 1982; Heusel et al. 2017); lower is better.

    The trace of the root is the sum of the roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric:
    ``eigh`` of the product itself, which is not, gives wrong values.

    Raises:
        ValueError: for a single picture, or features of different widths.

    Example:
        >>> import numpy as np
        >>> from mien.metrics.distributions import Moments, frechet_distance
        >>> features = np.random.default_rng(0).normal(size=(100, 8))
        >>> round(frechet_distance(Moments.of(features), Moments.of(features + 2)), 3)  # 8 features, each moved by 2
        32.0
    """
    if min(first.count, second.count) < 2 or first.mean.shape != second.mean.shape:
        raise ValueError("the Frechet distance needs two pictures or more on each side, with the same features")
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ second.covariance @ root)
    step = first.mean - second.mean
    traces = np.trace(first.covariance) + np.trace(second.covariance) - 2 * np.sqrt(inner.clip(0)).sum()
    return float(step @ step + traces)


def kernel_distance(first: ArrayLike, second: ArrayLike) -> float:
    """KID: unbiased squared MMD under the kernel (x.y / D + 1)^3 (Binkowski et al. 2018); lower is better, 0 is even.

    All pairs at once, not a mean over random subsets; being unbiased, it may come out slightly below 0.

    Args:
        first: features [N, D], N of at least 2.
        second: features [M, D], M of at least 2.

    Raises:
        ValueError: for a single picture on either side.

    Example:
        >>> import numpy as np
        >>> from mien.metrics.distributions import kernel_distance
        >>> features = np.random.default_rng(0).normal(size=(200, 8))
        >>> kernel_distance(features[:100], features[100:]) < kernel_distance(features[:100], features[100:] + 1)
        True
    """
    return float(kernel_distances(first, second, np.ones((1, len(np.asarray(first)))))[0])


def kernel_distances(
    first: ArrayLike,
    second: ArrayLike,
    weights: ArrayLike,
    others: ArrayLike | None = None,
    units: tuple[ArrayLike, ArrayLike] | None = None,
) -> Floats:
    """The same for resamples, in which a picture counts several times or not at all, [draws]; NaN without two pictures.

    Unbiased only over pairs of pictures that have nothing in common: two of one person are alike beyond what the set
    is, and more so in a resample, which counts that person's pictures together.

    Args:
        first: features [N, D].
        second: features [M, D].
        weights: of ``first`` [draws, N].
        others: of ``second`` [draws, M]; ``weights`` where the rows belong together, ones where M differs from N.
        units: what the pictures show, labels [N, U] and [M, U], one column for people, one for targets and so on. A
            pair that has a label in common is left out. None: no two pictures have.

    Raises:
        ValueError: for a single picture on either side.

    Example:
        >>> import numpy as np
        >>> from mien.metrics.distributions import kernel_distances
        >>> rng = np.random.default_rng(0)
        >>> first, second = rng.normal(size=(20, 8)), rng.normal(size=(30, 8))
        >>> weights = rng.multinomial(20, np.full(20, 0.05), size=5)  # five bootstrap samples of the first
        >>> kernel_distances(first, second, weights).shape
        (5,)
    """
    x, y = (np.asarray(values, np.float64) for values in (first, second))
    if min(len(x), len(y)) < 2:
        raise ValueError("KID needs two pictures or more on each side")
    w = np.asarray(weights, np.float64)
    v = np.asarray(others, np.float64) if others is not None else w if len(x) == len(y) else np.ones((len(w), len(y)))

    def kernel(a: Floats, b: Floats) -> Floats:
        return (a @ b.T / a.shape[1] + 1) ** 3

    # a picture drawn twice is still one picture: no pair with itself
    labels_of_both = (
        units if units is not None else (np.arange(len(x))[:, None], np.arange(len(x), len(x) + len(y))[:, None])
    )
    mine, theirs = (np.asarray(labels) for labels in labels_of_both)

    def mean(a: Floats, b: Floats, counts: Floats, against: Floats, shown: Labels, others: Labels) -> Floats:
        apart = (shown[:, None] != others[None]).all(-1).astype(np.float64)
        pairs = ((counts @ apart) * against).sum(1)
        return ((counts @ (kernel(a, b) * apart)) * against).sum(1) / pairs

    with np.errstate(invalid="ignore", divide="ignore"):  # a resample without two pictures has no distance: NaN
        within = mean(x, x, w, w, mine, mine) + mean(y, y, v, v, theirs, theirs)
        return within - 2 * mean(x, y, w, v, mine, theirs)
