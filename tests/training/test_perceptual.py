"""The person and the expression of a prediction, as terms of a base's loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mien.data.corpus import Corpus
from mien.training.diffusion import studio_scheduler
from mien.training.perceptual import PerceptualLoss
from mien.training.sources import Sources
from tests.training.small_base import objective


def seen(small_base: Path, count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents, and landmarks of faces."""
    corpus = Corpus.load(small_base / "data")
    latents = torch.randn(count, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    return latents, torch.from_numpy(corpus["landmarks"][:count].astype(np.float32))


def test_the_target_itself_is_the_right_person_with_the_right_expression(small_base: Path) -> None:
    likeness = PerceptualLoss(Sources((small_base,)))
    latents, points = seen(small_base)
    for term in likeness(latents.clone(), latents, points):
        assert term.item() == pytest.approx(0, abs=1e-6)


def test_terms_are_those_of_the_frozen_networks_and_pull_at_the_prediction_alone(small_base: Path) -> None:
    from mien.pipelines.autoencoders import decode_latents

    likeness = PerceptualLoss(Sources((small_base,)))
    latents, points = seen(small_base)
    clean = (latents + 0.3 * torch.randn(latents.shape)).requires_grad_()
    identity, expression = likeness(clean, latents, points)
    with torch.no_grad():
        pictures = [decode_latents(likeness.vae, one).clamp(-1, 1) for one in (clean, latents)]
        person, same = (likeness.heads.person(one, points) for one in pictures)
        shapes, wanted = (likeness.heads.expression(one, points) for one in pictures)
    cosines = (person * same).sum(1) / person.norm(dim=1) / same.norm(dim=1)
    assert identity.item() == pytest.approx(float((1 - cosines).mean()), abs=1e-5)
    assert expression.item() == pytest.approx(float((shapes - wanted).abs().mean()), abs=1e-5)
    for term in (identity, expression):
        (grad,) = torch.autograd.grad(term, clean, retain_graph=True)
        assert bool(torch.isfinite(grad).all()) and grad.abs().sum() > 0
    assert all(not parameter.requires_grad for parameter in likeness.parameters())


def test_rows_with_more_noise_than_the_paper_allows_are_left_out(small_base: Path) -> None:
    counted = PerceptualLoss(Sources((small_base,))).counted(studio_scheduler(), torch.tensor([0, 599, 600, 601, 999]))
    assert counted.tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("weights", [(0.5, 0.0), (0.0, 2.0), (0.5, 2.0)])
def test_the_bases_loss_is_the_diffusion_loss_and_the_weighted_terms(
    small_base: Path, weights: tuple[float, float]
) -> None:
    made, plain = objective(small_base, perceptual=weights), objective(small_base)
    assert made.trained().keys() == plain.trained().keys()
    batch = made.batch(Corpus.load(small_base / "data"), np.random.default_rng(0), 8)
    loss, logs = made(batch, torch.Generator().manual_seed(0))
    alone, nothing = plain(batch, torch.Generator().manual_seed(0))
    assert nothing == {} and logs["diffusion"] == pytest.approx(alone.item())
    added = weights[0] * float(logs["identity"]) + weights[1] * float(logs["expression"])
    assert added > 0 and loss.item() == pytest.approx(alone.item() + added)
    loss.backward()
    assert all(parameter.grad is not None for parameter in made.trained().values())


def test_the_terms_come_late_and_before_them_the_reading_head_learns_alone(small_base: Path) -> None:
    made, plain = (
        objective(small_base, perceptual=(0.5, 2.0), caption_readout=0.5, aux_loss_fraction=0.25),
        objective(small_base),
    )
    batch = made.batch(Corpus.load(small_base / "data"), np.random.default_rng(0), 8)
    plain(batch, torch.Generator().manual_seed(0))[0].backward()

    def step(progress: float) -> set[str]:
        made.zero_grad()
        made.progress = progress
        loss, logs = made(batch, torch.Generator().manual_seed(0))
        loss.backward()
        return set(logs)

    assert step(0.74) == {"diffusion", "caption_readout"}
    own = dict(made.named_parameters())
    for name, parameter in plain.trained().items():
        torch.testing.assert_close(own[name].grad, parameter.grad)
    head = own["caption_readout.head.weight"].grad
    assert head is not None and head.abs().sum() > 0
    assert step(0.75) == {"diffusion", "caption_readout", "identity", "expression"}
    for changed in ("text_encoder", "unet"):
        assert any(
            not torch.allclose(own[name].grad, parameter.grad)  # type: ignore[arg-type]
            for name, parameter in plain.trained().items()
            if name.startswith(changed)
        )


def test_a_batch_that_is_all_noise_has_the_diffusion_loss(small_base: Path) -> None:
    made = objective(small_base, perceptual=(1.0, 1.0))
    assert made.perceptual is not None
    made.perceptual.f_max = -1.0
    loss, logs = made(made.batch(Corpus.load(small_base / "data"), np.random.default_rng(0), 4), torch.Generator())
    assert logs == {} and bool(torch.isfinite(loss))
