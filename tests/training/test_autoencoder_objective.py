"""The autoencoder's training: what is emphasised, and what stays when only the decoder learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mien.assets import embedded_or_none
from mien.data.corpus import Corpus
from mien.errors import ConfigError
from mien.models import StudioAutoencoder
from mien.training.objectives.autoencoder import AutoencoderConfig, AutoencoderObjective
from mien.training.run import train
from tests.synthetic import write_corpus


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("autoencoder") / "data", people=3, per_person=2)


def test_faces_weigh_more_and_weights_average_one(data: Path) -> None:
    corpus = Corpus.load(data)
    plain, faces = AutoencoderObjective(), AutoencoderObjective(AutoencoderConfig(emphasis=2.0))
    for objective in (plain, faces):
        objective.prepare(corpus, data)
    batch = faces.batch(corpus, np.random.default_rng(0), 4)
    assert batch["weights"].shape == (4, 1, 128, 128) and batch["weights"].mean().item() == pytest.approx(1.0)
    assert batch["weights"].max() > 1.5 * batch["weights"].min()
    assert plain.batch(corpus, np.random.default_rng(0), 4)["weights"].unique().tolist() == [1.0]
    assert torch.equal(plain.batch(corpus, np.random.default_rng(0), 4)["pictures"], batch["pictures"])


def test_a_base_that_knows_the_latents_keeps_them(data: Path, tmp_path: Path) -> None:
    config = {"pictures": 4, "batch": 2, "log_every": 1, "depends_on": [], "options": {}}
    train("studio-autoencoder", data=data, held_out=data, runs=tmp_path / "both", overrides=config)
    first = tmp_path / "both" / "studio-autoencoder" / "export"
    train(
        "studio-autoencoder", data=data, held_out=data, runs=tmp_path / "decoder", start_from=first,
        overrides=config | {"options": {"decoder_only": True}},
    )  # fmt: skip
    file = "vae/diffusion_pytorch_model.safetensors"
    before = load_file(first / file)
    after = load_file(tmp_path / "decoder" / "studio-autoencoder" / "export" / file)
    changed = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"decoder", "linear_decoder"}


def test_an_interrupted_decoder_goes_on_with_the_encoder_it_began_with(data: Path, tmp_path: Path) -> None:
    config = {"pictures": 8, "batch": 2, "log_every": 1, "depends_on": [], "options": {}}
    train("studio-autoencoder", data=data, runs=tmp_path / "both", overrides=config | {"lr": 0.01})
    first, runs = tmp_path / "both" / "studio-autoencoder" / "export", tmp_path / "decoder"
    config["options"] = {"decoder_only": True}
    asked = {"data": data, "runs": runs, "start_from": first, "overrides": config}
    assert not train("studio-autoencoder", minutes=0.0, **asked)["finished"]
    assert train("studio-autoencoder", **asked)["finished"]
    file = "vae/diffusion_pytorch_model.safetensors"
    before, after = load_file(first / file), load_file(runs / "studio-autoencoder" / "export" / file)
    frozen = [name for name in before if not name.startswith(("decoder", "linear_decoder"))]
    assert {"latent_mean", "latent_std", "linear_encoder.weight"} < set(frozen)
    assert all(torch.equal(before[name], after[name]) for name in frozen)


def test_squared_errors_add_to_the_absolute_ones(data: Path) -> None:
    corpus = Corpus.load(data)
    plain, squared = AutoencoderObjective(), AutoencoderObjective(AutoencoderConfig(square=3.0))
    plain.prepare(corpus, data)
    squared.vae.load_state_dict(plain.vae.state_dict())
    plain.places = squared.places = np.zeros((len(corpus), 16, 16), np.float16)
    batch = plain.batch(corpus, np.random.default_rng(0), 4)
    one, _ = plain(batch, torch.Generator().manual_seed(0))
    two, _ = squared(batch, torch.Generator().manual_seed(0))
    latents = plain.vae.raw_encode(batch["pictures"])
    noise = plain.config.noise * torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    expected = 3 * (plain.vae.raw_decode(latents + noise) - batch["pictures"]).pow(2).mean()
    assert (two - one).item() == pytest.approx(expected.item(), rel=1e-4)


ALL_TERMS = {
    "block_out_channels": [8, 16, 16], "output_shuffle": 4, "linear": False, "crop": 64, "kl": 1e-4, "max_noise": 0.3,
    "equivariance": 0.5, "alignment": 0.5, "perceptual": 0.1, "adversarial": 0.5, "adversarial_start": 0.0,
}  # fmt: skip


def test_all_terms_together_train_and_an_interrupted_run_is_the_same(data: Path, tmp_path: Path) -> None:
    if embedded_or_none("studio") is None:
        pytest.skip("the embedded reader is not here")
    config = {"pictures": 12, "batch": 2, "log_every": 1, "warmup_images": 0, "precision": "no", "options": ALL_TERMS,
              "depends_on": ["studio-reader"]}  # fmt: skip
    asked = {"data": data, "held_out": data, "overrides": config}
    assert train("studio-autoencoder", runs=tmp_path / "whole", **asked)["finished"]
    while not train("studio-autoencoder", runs=tmp_path / "parts", minutes=0.01, **asked)["finished"]:
        pass
    exports = [tmp_path / name / "studio-autoencoder" / "export" / "vae" for name in ("whole", "parts")]
    whole, parts = (load_file(one / "diffusion_pytorch_model.safetensors") for one in exports)
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)
    assert not any(name.startswith(("discriminator", "project", "reader")) for name in whole)
    lines = [json.loads(line) for line in (tmp_path / "whole" / "studio-autoencoder" / "log.jsonl").open()]
    assert {"kl", "perceptual", "alignment", "generator", "discriminator", "l1"} <= set(lines[0])
    assert {"psnr", "octave_0", "octave_4"} <= set(lines[-1]["validation"])


def test_a_transformed_step_is_held_against_the_transformed_picture(data: Path) -> None:
    """Shown on an autoencoder that is exactly equivariant: means of patches, drawn as flat patches."""
    objective = AutoencoderObjective(AutoencoderConfig(noise=0.0, range_weight=0.0))
    objective.prepare(Corpus.load(data), data)
    objective.vae.raw_moments = lambda x: (torch.nn.functional.avg_pool2d(x, 8), None)  # type: ignore[method-assign]
    objective.vae.raw_decode = lambda z: torch.nn.functional.interpolate(z, scale_factor=8)  # type: ignore[method-assign]
    flat = torch.nn.functional.interpolate(torch.rand(2, 3, 16, 16) * 2 - 1, scale_factor=8)
    batch = {"pictures": flat, "weights": torch.ones(2, 1, 128, 128)}
    for turns in range(4):
        loss, _ = objective(batch | {"transform": torch.tensor([[1.0, turns]])}, torch.Generator())
        assert loss.item() == pytest.approx(0, abs=1e-6)
    corpus = Corpus.load(data)
    often = AutoencoderObjective(AutoencoderConfig(equivariance=1.0))
    often.prepare(corpus, data)
    drawn = [often.batch(corpus, np.random.default_rng(seed), 2)["transform"][0].tolist() for seed in range(40)]
    assert {scale for scale, _ in drawn} == {0.5, 0.75, 1.0} and {turn for _, turn in drawn} == {0.0, 1.0, 2.0, 3.0}


FINER = {"block_out_channels": (32, 96, 160), "output_shuffle": 4, "reduction": 2, "decoder_only": True}


def test_a_decoder_of_finer_pictures_begins_with_the_latents_of_coarser_ones(data: Path, tmp_path: Path) -> None:
    config = {"pictures": 4, "batch": 2, "log_every": 1, "lr": 0.01, "depends_on": [], "options": {}}
    train("studio-autoencoder", data=data, runs=tmp_path / "first", overrides=config)
    first = tmp_path / "first" / "studio-autoencoder" / "export"
    train(
        "studio-autoencoder", data=data, runs=tmp_path / "finer", start_from=first,
        overrides=config | {"options": FINER | {"crop": 64}},
    )  # fmt: skip
    exported = tmp_path / "finer" / "studio-autoencoder" / "export" / "vae"
    coarse, fine = (StudioAutoencoder.from_pretrained(one).float() for one in (first / "vae", exported))
    pictures = torch.rand(2, 3, 128, 128) * 2 - 1
    small = torch.nn.functional.avg_pool2d(pictures, 2)
    assert torch.equal(fine.encode(pictures).latents, coarse.encode(small).latents)  # type: ignore[union-attr]
    assert fine(pictures).sample.shape == pictures.shape


def test_only_squares_of_whole_latents_are_decoded(data: Path) -> None:
    """Latents at the edge of a square are those of the whole picture, not of a picture that ends there."""
    objective = AutoencoderObjective(AutoencoderConfig(**FINER, crop=64, noise=0.0))
    objective.prepare(Corpus.load(data), data)
    torch.nn.init.normal_(objective.vae.encoder[-1].weight, std=0.1)
    corpus, given, wanted = Corpus.load(data), [], []
    decode = objective.vae.raw_decode
    objective.vae.raw_decode = lambda z: (given.append(z), decode(z))[1]  # type: ignore[method-assign,func-returns-value]
    for seed in range(8):
        batch = objective.batch(corpus, np.random.default_rng(seed), 2)
        top, left = batch["corner"][0].tolist()
        assert top % 16 == left % 16 == 0 and batch["pictures"].shape[-1] == 128
        objective(batch, torch.Generator())
        whole = objective.vae.raw_encode(batch["pictures"])
        wanted.append(whole[..., top // 16 : top // 16 + 4, left // 16 : left // 16 + 4])
        assert not given[-1].requires_grad
    assert len({tuple(one.flatten().tolist()) for one in wanted}) == 8
    for one, two in zip(given, wanted, strict=True):
        torch.testing.assert_close(one, two)


def test_a_reader_is_needed_for_its_terms() -> None:
    with pytest.raises(ConfigError, match="need a trained reader"):
        AutoencoderObjective(AutoencoderConfig(alignment=1.0))
