from __future__ import annotations

import numpy as np
import pytest

from mien.data.restyle import STYLES, restyle
from mien.errors import ConfigError


@pytest.mark.parametrize("style", STYLES)
def test_a_style_changes_colours_and_keeps_places(style: str) -> None:
    y, x = np.mgrid[:64, :64]
    disc = ((x - 32) ** 2 + (y - 32) ** 2 < 400)[..., None]
    pictures = np.where(disc, (200, 120, 90), (30, 60, 120)).astype(np.uint8)[None].repeat(2, 0)
    styled = restyle(pictures, style)
    assert styled.shape == pictures.shape and styled.dtype == np.uint8
    assert np.array_equal(styled[0], styled[1]) and not np.array_equal(styled, pictures)
    inside, outside = styled[0, 32, 32].astype(int), styled[0, 4, 4].astype(int)
    assert np.abs(inside - outside).sum() > 60


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ConfigError, match="cartoon"):
        restyle(np.zeros((1, 8, 8, 3), np.uint8), "cubism")
