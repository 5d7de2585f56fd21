"""A new ControlNet fits the base whose way down it copies, whatever its autoencoder."""

from typing import Any

import pytest
import torch

from mien.errors import ConfigError
from mien.models.controlnet import blank_picture, build_controlnet
from tests.tiny import TEXT_DIM, tiny_unet


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_its_residuals_are_as_large_as_what_they_are_added_to(factor: int) -> None:
    unet: Any = tiny_unet()
    controlnet: Any = build_controlnet(unet, factor).eval()
    latents, text = torch.randn(1, 4, 8, 8), torch.randn(1, 5, TEXT_DIM)
    picture = blank_picture(controlnet, latents)
    assert picture.shape == (1, 3, 8 * factor, 8 * factor)
    with torch.no_grad():
        down, middle = controlnet(latents, 5, text, picture, return_dict=False)
        drawn = unet(latents, 5, text, down_block_additional_residuals=down, mid_block_additional_residual=middle)
    assert torch.equal(drawn.sample, unet(latents, 5, text).sample), "a new one adds nothing"


@pytest.mark.parametrize("factor", [1, 3, 32])
def test_another_factor_is_refused(factor: int) -> None:
    with pytest.raises(ConfigError, match=f"not {factor} times"):
        build_controlnet(tiny_unet(), factor)
