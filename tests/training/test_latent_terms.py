"""The autoencoder's further terms: equivariance, a face network's features, the KL term, the discriminator."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mien.training.adversarial import PatchDiscriminator, adaptive_weight, adversarial_losses
from mien.training.latent_terms import feature_alignment, kl_to_normal, transformed


def test_latents_and_pictures_are_turned_alike() -> None:
    """Latents that are the picture's patch means: their transform is the transformed picture's patch means."""
    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    means = nn.AvgPool2d(16)
    for turns in range(4):
        latents, turned = transformed(means(pictures), pictures, 1.0, turns)
        torch.testing.assert_close(latents, means(turned))
    latents, small = transformed(means(pictures), pictures, 0.5, 0)
    assert latents.shape == (2, 3, 2, 2) and small.shape == (2, 3, 32, 32)
    flat, _ = transformed(torch.full((1, 4, 16, 16), 0.3), torch.zeros(1, 3, 256, 256), 0.75, 1)
    assert flat.shape[-2:] == (12, 12) and torch.allclose(flat, torch.tensor(0.3))


def test_aligned_latents_cost_nothing_and_opposite_ones_the_most() -> None:
    features = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    assert feature_alignment(3 * features, features) == 0  # only directions count
    opposite = feature_alignment(-features, features)
    assert opposite.item() == pytest.approx(1.5)  # 1 - 0.5 + 1; pairs agree
    shuffled = features.flatten(2)[..., torch.randperm(16, generator=torch.Generator().manual_seed(2))].view_as(
        features
    )
    assert 0 < feature_alignment(shuffled, features) < opposite


def test_pairs_of_positions_count_beside_positions() -> None:
    """Two positions of opposite latents and equal features, each at the margin's distance from its feature."""
    angle = math.pi / 3  # cos 0.5: costs nothing at the position
    latents = torch.tensor([[math.cos(angle), math.cos(angle)], [math.sin(angle), -math.sin(angle)]]).view(1, 2, 1, 2)
    features = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 2, 1, 2)
    wanted = (1 - math.cos(2 * angle) - 0.25) * 2 / 4  # of the four pairs two differ
    assert feature_alignment(latents, features).item() == pytest.approx(wanted, abs=1e-6)


def test_the_kl_term_has_known_values() -> None:
    assert kl_to_normal(torch.zeros(2, 3), torch.zeros(2, 3)) == 0
    assert kl_to_normal(torch.ones(2, 3), torch.zeros(2, 3)).item() == pytest.approx(0.5)
    assert kl_to_normal(torch.zeros(1), torch.ones(1)).item() == pytest.approx((math.e - 2) / 2)


def test_each_player_moves_its_own_weights_alone() -> None:
    torch.manual_seed(0)
    judge, decoder = PatchDiscriminator((4, 4, 4, 4)), nn.Conv2d(3, 3, 1)
    drawn, real = decoder(torch.randn(2, 3, 32, 32)), torch.randn(2, 3, 32, 32)
    generator, discriminator = adversarial_losses(judge, drawn, real, penalty=0.1)
    generator.backward(retain_graph=True)
    assert decoder.weight.grad is not None and all(one.grad is None for one in judge.parameters())
    before = decoder.weight.grad.clone()
    discriminator.backward()
    assert torch.equal(decoder.weight.grad, before)
    assert all(one.grad is not None and one.requires_grad for one in judge.parameters())


def test_the_discriminator_learns_to_see_that_fine_texture_is_missing() -> None:
    """Texture of a fiftieth of the range: with spectral norms the loss stayed at that of a guess, log 2."""
    torch.manual_seed(0)
    judge = PatchDiscriminator((8, 16, 16, 16))
    optimizer = torch.optim.Adam(judge.parameters(), 1e-3, betas=(0.5, 0.95))
    loss = torch.zeros(())
    for _ in range(60):
        drawn = nn.functional.interpolate(torch.rand(4, 3, 8, 8) * 2 - 1, size=32, mode="bilinear")
        _, loss = adversarial_losses(judge, drawn, drawn + 0.04 * torch.randn(4, 1, 32, 32))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.35


class Total(nn.Module):
    """Three times the sum of each picture: its gradient by every pixel is 3."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * x.sum((1, 2, 3), keepdim=True)


def test_the_losses_are_those_of_relativistic_pairs() -> None:
    drawn, real = torch.full((1, 1, 2, 2), -0.05), torch.full((1, 1, 2, 2), 0.025)
    generator, discriminator = adversarial_losses(Total(), drawn, real)
    gap = 3 * 4 * 0.075
    assert generator.item() == pytest.approx(math.log1p(math.exp(gap)))
    assert discriminator.item() == pytest.approx(math.log1p(math.exp(-gap)))


def test_the_penalty_is_half_gamma_times_both_squared_gradients() -> None:
    pictures = torch.zeros(5, 1, 2, 2)
    _, without = adversarial_losses(Total(), pictures, pictures)
    _, punished = adversarial_losses(Total(), pictures, pictures, penalty=0.5)
    assert (punished - without).item() == pytest.approx(0.5 * 0.5 * 2 * (4 * 9))
    with torch.no_grad():
        assert adversarial_losses(Total(), pictures, pictures, penalty=0.5)[1] == without


def test_the_adaptive_weight_is_the_quotient_of_two_pulls() -> None:
    last = nn.Parameter(torch.tensor([2.0, 1.0]))
    wanted, other = (last * torch.tensor([3.0, 4.0])).sum(), (last * torch.tensor([0.0, 0.5])).sum()
    assert adaptive_weight(wanted, other, last).item() == pytest.approx(10, rel=1e-3)
    assert adaptive_weight(wanted, 0 * other, last, most=7.0) == 7
