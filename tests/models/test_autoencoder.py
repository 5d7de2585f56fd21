from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from mien.errors import BadInput, ConfigError
from mien.models import StudioAutoencoder
from tests.tolerance import SAMPLED


def smooth_pictures(count: int = 12, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return F.interpolate(torch.rand(count, 3, 4, 4, generator=generator) * 2 - 1, size=size, mode="bicubic").clamp(
        -1, 1
    )


def test_the_pca_start_reconstructs_before_any_training() -> None:
    vae = StudioAutoencoder()
    pictures = smooth_pictures(64)
    vae.init_from_pca(pictures)
    error = (vae(pictures).sample - pictures).pow(2).mean()
    assert error < 0.1 * pictures.var()


def test_normalisation_gives_unit_latents_and_changes_no_picture() -> None:
    vae = StudioAutoencoder(latent_channels=8, block_out_channels=(8, 16, 24))
    pictures = smooth_pictures()
    vae.init_from_pca(pictures)
    before = vae(pictures).sample
    vae.fit_normalisation(vae.raw_encode(pictures).detach())
    latents = vae.encode(pictures).latents  # type: ignore[union-attr]
    assert latents.shape == (12, 8, 4, 4)
    assert latents.mean().abs() < 1e-4 and latents.std().item() == pytest.approx(1.0, abs=1e-3)
    torch.testing.assert_close(vae(pictures).sample, before, **SAMPLED)


def test_save_and_load(tmp_path: Path) -> None:
    vae = StudioAutoencoder(latent_channels=3, block_out_channels=(8, 8, 16))
    vae.fit_normalisation(torch.randn(4, 3, 2, 2))
    vae.save_pretrained(tmp_path)
    again = StudioAutoencoder.from_pretrained(tmp_path)
    pictures = smooth_pictures(2)
    assert torch.equal(again(pictures).sample, vae(pictures).sample)


def test_odd_sizes_are_refused_in_one_sentence() -> None:
    with pytest.raises(BadInput, match="multiples of 8"):
        StudioAutoencoder(block_out_channels=(8, 8, 8)).encode(torch.zeros(1, 3, 30, 32))


@pytest.mark.parametrize("widths", [(8, 8, 16, 16), (8, 16, 16)])
@pytest.mark.parametrize("options", [{}, {"linear": False}, {"variational": True}])
def test_latents_of_16_pixels(options: dict[str, bool], widths: tuple[int, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    shuffle = 2 if len(widths) == 4 else 4
    vae = StudioAutoencoder(latent_channels=4, block_out_channels=widths, output_shuffle=shuffle, **options)
    pictures = smooth_pictures(3, 64)
    if options.get("linear", True):
        vae.init_from_pca(smooth_pictures(12, 64))
    mean, log_variance = vae.raw_moments(pictures)
    assert mean.shape == (3, 4, 4, 4) and vae.raw_decode(mean).shape == pictures.shape
    assert (log_variance is None) == ("variational" not in options)
    torch.testing.assert_close(vae.encode(pictures).latents, mean)  # type: ignore[union-attr]
    with pytest.raises(BadInput, match="multiples of 16"):
        vae.encode(torch.zeros(1, 3, 40, 64))
    vae.save_pretrained(tmp_path)
    again = StudioAutoencoder.from_pretrained(tmp_path)
    assert torch.equal(again(pictures).sample, vae(pictures).sample)


def _coarse_and_fine(**options: Any) -> tuple[StudioAutoencoder, StudioAutoencoder]:
    torch.manual_seed(0)
    coarse = StudioAutoencoder(latent_channels=4, block_out_channels=(8, 16, 24))
    coarse.init_from_pca(smooth_pictures(12, 32))
    coarse.fit_normalisation(torch.randn(6, 4, 4, 4))
    for parameter in coarse.parameters():
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    given = {"block_out_channels": (16, 16, 24), "output_shuffle": 4, "reduction": 2} | options
    return coarse, StudioAutoencoder(latent_channels=4, **given)


def test_a_finer_decoder_keeps_the_latents_of_the_coarser_pictures(tmp_path: Path) -> None:
    coarse, fine = _coarse_and_fine()
    fine.grow_from(coarse)
    pictures = smooth_pictures(3, 64)
    small = F.avg_pool2d(pictures, 2)
    assert torch.equal(fine.encode(pictures).latents, coarse.encode(small).latents)  # type: ignore[union-attr]
    latents = coarse.encode(small).latents  # type: ignore[union-attr]
    assert fine.decode(latents).sample.shape == (3, 3, 64, 64)  # type: ignore[union-attr]
    raw = latents * coarse.latent_std + coarse.latent_mean
    assert coarse.linear_decoder is not None
    linear = F.interpolate(coarse.linear_decoder(raw), scale_factor=2)  # the new last layers begin as nothing
    torch.testing.assert_close(fine.decode(latents).sample, linear, **SAMPLED)  # type: ignore[union-attr]
    equal = [one for one, two in zip(fine.decoder, coarse.decoder, strict=True) if _same(one, two)]
    assert len(equal) >= 3, "blocks of the same shape are taken"
    fine.save_pretrained(tmp_path)
    assert torch.equal(StudioAutoencoder.from_pretrained(tmp_path)(pictures).sample, fine(pictures).sample)


def test_a_decoder_with_a_layer_more_begins_with_the_latents_and_the_layers_that_it_shares() -> None:
    _, stored = _coarse_and_fine()
    deeper = StudioAutoencoder(latent_channels=4, block_out_channels=(8, 16, 16, 24), output_shuffle=2, reduction=2)
    deeper.grow_from(stored)
    pictures = smooth_pictures(3, 64)
    assert torch.equal(deeper.encode(pictures).latents, stored.encode(pictures).latents)  # type: ignore[union-attr]
    assert deeper(pictures).sample.shape == pictures.shape
    theirs, own = stored.decoder.state_dict(), deeper.decoder.state_dict()
    shared = [name for name, value in theirs.items() if name in own and torch.equal(own[name], value)]
    assert {int(name.split(".")[0]) for name in shared} >= set(range(9)), "three sizes and what leads to them"


def _same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    first, second = list(one.parameters()), list(two.parameters())
    return bool(first) and all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_other_encoders_and_reductions_are_refused() -> None:
    coarse, other = _coarse_and_fine(block_out_channels=(16, 16, 32))
    with pytest.raises(ConfigError, match="another encoder"):
        other.grow_from(coarse)
    for reduction in (3, 8):
        with pytest.raises(ConfigError, match=f"reduction by {reduction} does not fit"):
            StudioAutoencoder(block_out_channels=(8, 16, 16), output_shuffle=4, reduction=reduction)


def test_the_pca_start_of_latents_of_brought_down_pictures() -> None:
    vae = StudioAutoencoder(latent_channels=12, block_out_channels=(8, 8, 16), output_shuffle=4, reduction=2)
    pictures = smooth_pictures(64, 64)
    vae.init_from_pca(pictures)
    error = (vae(pictures).sample - pictures).pow(2).mean()
    assert error < 0.1 * pictures.var()
