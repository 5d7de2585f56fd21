from __future__ import annotations

import numpy as np
import pytest

from mien.metrics.spectrum import octave_power


def wave(period: float, side: int = 64) -> np.ndarray:
    x = np.cos(2 * np.pi * np.arange(side) / period)
    return np.broadcast_to(x[None, None, :, None], (1, side, side, 3)) * 100 + 128


@pytest.mark.parametrize(("period", "octave"), [(2.5, 3), (6, 2), (12, 1), (30, 0)])
def test_a_wave_lies_in_its_octave(period: float, octave: int) -> None:
    power = octave_power(wave(period))
    assert power.shape == (4,) and power.argmax() == octave
    assert power[octave] > 5 * np.delete(power, octave).max()


def test_a_blurred_picture_loses_the_finest_octave() -> None:
    noise = np.random.default_rng(0).normal(size=(3, 64, 64, 3))
    blurred = (noise + np.roll(noise, 1, 1) + np.roll(noise, 1, 2) + np.roll(noise, (1, 1), (1, 2))) / 4
    share = octave_power(blurred) / octave_power(noise)
    assert share[-1] < 0.4 < share[0] and (np.diff(share) < 0).all()
    assert octave_power(noise * 3) / octave_power(noise) == pytest.approx(np.full(4, 9.0))


def test_what_is_no_square_is_refused() -> None:
    with pytest.raises(ValueError, match="N, S, S, 3"):
        octave_power(np.zeros((1, 64, 32, 3)))
