"""Where the detail of pictures lies: power by octave of spatial frequency."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray


def octave_power(pictures: ArrayLike) -> NDArray[np.float64]:
    """Mean power of luminance by octave of radial frequency.

    A Hann window keeps the borders out of it. The last octave ends at the Nyquist frequency, each before it at half
    of the next; the lowest holds the rest but the mean.

    Args:
        pictures: uint8 or float [N, S, S, 3]; the scale cancels in ratios.

    Returns:
        [log2(S) - 2], from coarse to fine.

    Raises:
        ValueError: if the pictures are not square, or smaller than 16 pixels.

    Example:
        >>> import numpy as np
        >>> from mien.metrics.spectrum import octave_power
        >>> noise = np.random.default_rng(0).normal(size=(4, 64, 64, 3))
        >>> octave_power(noise).shape
        (4,)
    """
    values = np.asarray(pictures, np.float64)
    if values.ndim != 4 or values.shape[1] != values.shape[2] or values.shape[1] < 16:
        raise ValueError(f"expected pictures [N, S, S, 3] with S of 16 or more, got {values.shape}")
    side = values.shape[1]
    luminance = values @ np.array([0.299, 0.587, 0.114])
    luminance -= luminance.mean((1, 2), keepdims=True)
    window = np.hanning(side)
    spectrum = np.abs(np.fft.fft2(luminance * np.outer(window, window))) ** 2
    frequency = np.fft.fftfreq(side)
    radius = np.hypot(frequency[:, None], frequency[None])
    edges = 0.5 / 2.0 ** np.arange(int(np.log2(side)) - 2, -1, -1)
    edges[0] = 0.5 / side  # leaves the mean out
    bands = [(radius > low) & (radius <= high) for low, high in pairwise(edges)]
    return np.array([spectrum[:, band].mean() for band in bands])
