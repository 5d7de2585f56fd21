"""Train the autoencoder: L1 on pixels and on their differences, from a PCA start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mien.models.autoencoder import PATCH, StudioAutoencoder
from mien.training.batches import pictures_to_tensor, spread_rows
from mien.training.features import face_places
from mien.training.objective import Logs, Objective, ObjectiveConfig

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.sources import Sources


class AutoencoderConfig(ObjectiveConfig):
    """Options of :class:`AutoencoderObjective`.

    Attributes:
        latent_channels: of the latents.
        noise: standard deviation of noise added to raw latents in training, so that the decoder forgives the diffusion
            model's small errors.
        range_weight: weight of the penalty that keeps the raw latents' mean square below 1.
        emphasis: additional weight of the face, and again of its eyes, brows and lips (:func:`face_places`).
        square: weight of the mean squared error, which decibels are made of, beside the absolute ones.
        decoder_only: the encoder and the latents' normalisation stay, for a base that knows these latents.
    """

    latent_channels: int = 16
    noise: float = 0.02
    range_weight: float = 0.01
    emphasis: float = 0.0
    square: float = 0.0
    decoder_only: bool = False

    def build(self, sources: Sources) -> AutoencoderObjective:
        """See the base class."""
        return AutoencoderObjective(self)


class AutoencoderObjective(Objective):
    """Mean absolute error of pixels plus that of their horizontal and vertical differences (sharp edges; *inferred*).

    Args:
        config: the options.
    """

    config_type = AutoencoderConfig

    def __init__(self, config: AutoencoderConfig | None = None) -> None:
        super().__init__()
        self.config = config or AutoencoderConfig()
        vae = StudioAutoencoder(latent_channels=self.config.latent_channels)
        self.vae = vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for part in (self.vae.encoder, self.vae.linear_encoder):
            part.requires_grad_(not self.config.decoder_only)

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Start from the PCA of the patches (a continued run then loads its own weights over it); where faces are."""
        self.places = face_places(corpus, corpus["images"].shape[1] // PATCH)
        rows = spread_rows(len(corpus), 400)
        self.vae.init_from_pca(pictures_to_tensor(corpus["images"][rows]))

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures, half of them mirrored, and how much each pixel weighs."""
        rows = rng.integers(0, len(corpus), size)
        pictures = pictures_to_tensor(corpus["images"][rows])
        places = torch.from_numpy(self.places[rows].astype(np.float32))[:, None]
        weights = 1 + self.config.emphasis * nn.functional.interpolate(places, scale_factor=PATCH)
        mirrored = torch.from_numpy(rng.random(size) < 0.5)[:, None, None, None]
        return {
            name: torch.where(mirrored, values.flip(3), values)
            for name, values in {"pictures": pictures, "weights": weights / weights.mean()}.items()
        }

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        pictures = batch["pictures"].contiguous(memory_format=torch.channels_last)
        latents = self.vae.raw_encode(pictures)
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        output = self.vae.raw_decode(latents + self.config.noise * noise).float()
        difference, weights = output - pictures, batch["weights"]
        pixels = (weights * difference.abs()).mean()
        across, down = difference.diff(dim=3).abs(), difference.diff(dim=2).abs()
        edges = (weights[..., 1:] * across).mean() + (weights[..., 1:, :] * down).mean()
        loss = pixels + edges + self.config.range_weight * nn.functional.relu(latents.float().pow(2).mean() - 1)
        if self.config.square:
            loss = loss + self.config.square * (weights * difference.pow(2)).mean()
        return loss, {"l1": pixels.detach()}  # type: ignore[dict-item]

    def validate(self, corpus: Corpus) -> Logs:
        """PSNR (dB) on pictures of held-out people, and the normalisation of the latents on training pictures."""
        if not self.config.decoder_only:
            self.vae.fit_normalisation(self._latents(corpus, spread_rows(len(corpus), 1024)))
        held_out = corpus.held_out or corpus
        return {"psnr": psnr(self.vae, held_out["images"][spread_rows(len(held_out), 512)])}

    def _latents(self, corpus: Corpus, rows: np.ndarray) -> Tensor:
        pictures = pictures_to_tensor(corpus["images"][rows])
        return torch.cat([self.vae.raw_encode(part.to(self.vae.device)).float() for part in pictures.split(64)])

    def extra_state(self) -> dict[str, Tensor]:
        """The encoder and the normalisation that the decoder is trained for; `prepare` would start them anew."""
        trained = {name for name, parameter in self.vae.named_parameters() if parameter.requires_grad}
        every = self.vae.state_dict()
        return {name: value for name, value in every.items() if name not in trained} if self.config.decoder_only else {}

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"vae": self.vae}


@torch.no_grad()
def psnr(vae: StudioAutoencoder, images: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB (peak 1 on [0, 1] pictures), mean squared error over all pictures."""
    total = 0.0
    for part in pictures_to_tensor(images).split(64):
        part = part.to(vae.device)
        total += ((vae(part).sample.clamp(-1, 1) - part) / 2).double().pow(2).mean().item() * len(part)
    return -10 * float(torch.tensor(total / len(images)).log10())
