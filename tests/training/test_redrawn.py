"""Latents that a base has noised and denoised once, for a decoder that has to draw from such."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mien.assets import embedded_or_none
from mien.data.corpus import Corpus
from mien.errors import ConfigError
from mien.training.objectives.autoencoder import AutoencoderConfig, AutoencoderObjective
from mien.training.redrawn import Redrawn
from mien.training.sources import Sources
from tests.synthetic import write_corpus


@pytest.fixture(scope="module")
def sources() -> Sources:
    folder = embedded_or_none("studio")
    if folder is None:
        pytest.skip("the embedded base is not here")
    return Sources((folder,))


def test_a_perfect_base_gives_back_what_it_was_shown(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    """v = alpha noise - sigma x (Salimans & Ho 2022): told the true velocity, one step ends at the clean latent."""
    redrawn = Redrawn(sources, 400)
    latents = torch.randn(3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    shown: dict[str, torch.Tensor] = {}
    add_noise = redrawn.scheduler.add_noise

    def recorded(clean: torch.Tensor, noise: torch.Tensor, timesteps: Any) -> torch.Tensor:
        shown["velocity"] = redrawn.scheduler.get_velocity(clean, noise, timesteps)
        return add_noise(clean, noise, timesteps)

    def forward(_noisy: torch.Tensor, timesteps: torch.Tensor, _states: torch.Tensor) -> Any:
        shown["timesteps"] = timesteps
        return SimpleNamespace(sample=shown["velocity"][rows])

    monkeypatch.setattr(redrawn.scheduler, "add_noise", recorded)
    monkeypatch.setattr(redrawn.unet, "forward", forward)
    rows = torch.tensor([True, False, True])
    found = redrawn(latents, rows, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, latents, rtol=1e-4, atol=1e-4)
    assert shown["timesteps"].shape == (2,) and shown["timesteps"].max() < 400


def test_only_the_rows_asked_for_are_redrawn_and_their_noise_is_their_own(sources: Sources) -> None:
    redrawn = Redrawn(sources, 400)
    latents = torch.randn(3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    every, last = torch.tensor([True] * 3), torch.tensor([False, False, True])
    first, second = (redrawn(latents, rows, torch.Generator().manual_seed(1)) for rows in (every, last))
    assert torch.equal(second[:2], latents[:2]) and not torch.equal(first[:2], latents[:2])
    torch.testing.assert_close(first[2], second[2], rtol=1e-3, atol=1e-3)  # of a batch of three and of one
    assert torch.equal(redrawn(latents, ~every, torch.Generator()), latents)


def test_the_decoder_is_shown_the_pictures_that_the_latents_come_from(sources: Sources, tmp_path: Path) -> None:
    corpus = Corpus.load(write_corpus(tmp_path / "data", people=2, per_person=2))
    given = {"block_out_channels": (8, 8, 16), "decoder_only": True, "noise": 0.0, "redrawn": 0.5}
    objective = AutoencoderObjective(AutoencoderConfig(**given), sources)
    objective.prepare(corpus, tmp_path)
    batch = objective.batch(corpus, np.random.default_rng(3), 8)
    assert 0 < batch["redrawn"].sum() < 8
    seen = []
    objective.vae.raw_decode = lambda z: (seen.append(z), torch.zeros_like(batch["pictures"]))[1]  # type: ignore[method-assign,func-returns-value]
    objective.redrawn = lambda latents, rows, _: torch.where(rows[:, None, None, None], 5.0, latents)  # type: ignore[assignment]
    objective.vae.latent_std.fill_(2.0)
    objective(batch, torch.Generator())
    raw = objective.vae.raw_encode(batch["pictures"])
    for latents, own, redrawn in zip(seen[0], raw, batch["redrawn"].tolist(), strict=True):
        torch.testing.assert_close(latents, torch.full_like(own, 10.0) if redrawn else own)


def test_without_a_base_that_keeps_its_latents_it_is_refused(sources: Sources) -> None:
    with pytest.raises(ConfigError, match="needs a trained base"):
        AutoencoderObjective(AutoencoderConfig(redrawn=0.5), sources)
