"""REPA: which features are taken, that perfect ones cost nothing, and that the UNet learns by them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mien.models.unet import build_unet
from mien.training.diffusion import noisy, studio_scheduler
from mien.training.representation import RepresentationAlignment

SMALL = {"block_out_channels": (16, 32, 32), "attention_head_dim": (1, 1, 1), "norm_num_groups": 8}


def unet() -> Any:
    torch.manual_seed(0)
    return build_unet(**SMALL)


def call(net: Any, rows: int = 2) -> None:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(rows, net.config["in_channels"], 16, 16, generator=generator)
    net(latents, torch.tensor([500] * rows), torch.zeros(rows, 4, net.config["cross_attention_dim"]))


def test_the_layer_has_the_grid_of_the_features_and_learns_by_them() -> None:
    net = unet()
    align = RepresentationAlignment(net, 24, hidden=16)
    call(net)
    assert align._seen is not None and align._seen.shape == (2, 32, 8, 8)
    loss = align(torch.randn(2, 24, 8, 8))
    loss.backward()
    assert 0 < loss.item() < 2 and net.conv_in.weight.grad.abs().max() > 0
    assert net.mid_block.resnets[0].conv1.weight.grad is None  # what comes later is free
    with pytest.raises(AssertionError, match="not called"):
        align(torch.randn(2, 24, 8, 8))


def test_equal_directions_cost_nothing_and_opposite_ones_two() -> None:
    net = unet()
    align = RepresentationAlignment(net, 32)
    align.project = nn.Identity()  # type: ignore[assignment]
    for sign, wanted in ((3.0, 0.0), (-1.0, 2.0)):
        call(net)
        assert align._seen is not None
        assert align(sign * align._seen.detach()).item() == pytest.approx(wanted, abs=1e-5)


def test_logit_normal_timesteps_lie_in_the_middle_more_often() -> None:
    scheduler, latents = studio_scheduler(), torch.zeros(4000, 1, 1, 1)
    _, plain, _ = noisy(scheduler, latents, torch.Generator().manual_seed(0))
    _, drawn, _ = noisy(scheduler, latents, torch.Generator().manual_seed(0), "logit_normal")
    assert drawn.min() >= 0 and drawn.max() <= 999
    middle = [((steps > 250) & (steps < 750)).float().mean().item() for steps in (plain, drawn)]
    assert middle[0] == pytest.approx(0.5, abs=0.03)
    assert middle[1] == pytest.approx(0.728, abs=0.03)  # P(|N(0, 1)| < log 3)
