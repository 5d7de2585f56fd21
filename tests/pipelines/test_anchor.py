"""Every picture of a batch also attends to the first one, and the UNet is as before afterwards."""

from __future__ import annotations

from typing import Any

import torch

from mien.pipelines.anchor import anchored
from tests.tiny import TEXT_DIM, tiny_unet
from tests.tolerance import PASS

PICTURES, SETS = 3, 2


def call(unet: Any, latents: torch.Tensor) -> torch.Tensor:
    text = torch.randn(len(latents), 5, TEXT_DIM, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return unet(latents, 500, text).sample


def test_the_first_picture_decides_what_others_see() -> None:
    """The first picture is its own anchor, so it stays; the others change with it; guidance's sets do not mix."""
    unet = tiny_unet()
    rows = torch.randn(PICTURES * SETS, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = call(unet, rows)
    with anchored(unet, PICTURES):
        steady = call(unet, rows)
        other = rows.clone()
        other[0] += 1  # the first picture in the first set
        moved = call(unet, other)
    torch.testing.assert_close(steady[[0, PICTURES]], plain[[0, PICTURES]], **PASS)
    for row in (1, 2, 4, 5):
        assert not torch.allclose(steady[row], plain[row], atol=1e-4)
    assert not torch.allclose(moved[1], steady[1], atol=1e-4)
    torch.testing.assert_close(moved[PICTURES:], steady[PICTURES:], **PASS)
    assert torch.equal(call(unet, rows), plain)
