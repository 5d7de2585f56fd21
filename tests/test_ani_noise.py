"""The noise of a gradient against its mean, from few batches."""

from __future__ import annotations

import numpy as np
import pytest

from tests.test_docs_results import script

ani_noise = script("ani_noise")


@pytest.mark.parametrize("ratio", [0.5, 2.0, 10.0])
def test_the_noise_of_a_gradient_is_told_without_bias(ratio: float) -> None:
    rng, size, batches = np.random.default_rng(0), 4000, 64
    gradients = np.full((batches, size), 1.0) + ratio * rng.normal(size=(batches, size))
    told = ani_noise.gradient_noise(np.square(gradients).sum(1).mean(), np.square(gradients.mean(0)).sum(), batches)
    assert told == pytest.approx(ratio, rel=0.1)


def test_what_the_noise_buries_is_not_told() -> None:
    assert ani_noise.gradient_noise(squares=8.5, mean=1.0, batches=8) is None
