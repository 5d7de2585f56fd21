"""Train the autoencoder: L1 on pixels and on their differences, from a PCA start; further terms as options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mien.errors import ConfigError
from mien.faces.networks import StudioFaceNet
from mien.metrics.reconstruction import decibels
from mien.metrics.spectrum import octave_power
from mien.models.autoencoder import StudioAutoencoder
from mien.training.adversarial import PatchDiscriminator, adaptive_weight, adversarial_losses
from mien.training.batches import pictures_to_tensor, spread_rows
from mien.training.features import face_places
from mien.training.latent_terms import SCALES, feature_alignment, kl_to_normal, transformed
from mien.training.objective import Logs, Objective, ObjectiveConfig, open_part
from mien.training.parts import ROW
from mien.training.redrawn import Redrawn

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.sources import Sources


class AutoencoderConfig(ObjectiveConfig):
    """Options of :class:`AutoencoderObjective`.

    Attributes:
        latent_channels: of the latents.
        block_out_channels: see :class:`StudioAutoencoder`; with ``output_shuffle`` it says how many pixels a latent
            stands for.
        output_shuffle: the same.
        linear: the same.
        reduction: the same.
        crop: side of random squares that are cut from the pictures, in pixels; 0 takes whole pictures. With
            ``decoder_only`` whole pictures are encoded, and squares cut from latents and pictures.
        noise: standard deviation of noise added to latents in training, in units of their own, so that the decoder
            forgives the diffusion model's small errors.
        max_noise: where it is more than ``noise``, each picture's is drawn between the two.
        range_weight: weight of the penalty that keeps the raw latents' mean square below 1.
        fine: share of the pixels' terms that are taken at full size, the rest at half of it: latents of coarser
            pictures do not say what is finer, and its error would be least where there is no texture at all; but
            without any of it patterns of two pixels would cost nothing.
        emphasis: additional weight of the face, and again of its eyes, brows and lips (:func:`face_places`).
        square: weight of the mean squared error, which decibels are made of, beside the absolute ones.
        kl: weight of the KL term; above 0 the encoder tells a variance too and latents are drawn from it.
        equivariance: share of the steps in which a scaled and turned latent has to give the scaled and turned picture
            (:func:`transformed`).
        alignment: weight of :func:`feature_alignment` with the reader's features, on top of an adaptive one.
        perceptual: weight of the mean difference of the reader's normalised features.
        adversarial: weight of the discriminator's term, on top of an adaptive one.
        gradient_penalty: of the discriminator (:func:`adversarial_losses`).
        adversarial_start: share of the run before it counts; the discriminator learns from the start.
        decoder_only: the encoder and the latents' normalisation stay, for a base that knows these latents.
        redrawn: with ``decoder_only``, share of the rows whose latents that base has noised and denoised in one step
            (:class:`Redrawn`).
        redrawn_until: at timesteps below this one.
    """

    latent_channels: int = 16
    block_out_channels: tuple[int, ...] = (32, 96, 160)
    output_shuffle: int = 2
    linear: bool = True
    reduction: int = 1
    crop: int = 0
    noise: float = 0.02
    max_noise: float = 0.0
    range_weight: float = 0.01
    fine: float = 1.0
    emphasis: float = 0.0
    square: float = 0.0
    kl: float = 0.0
    equivariance: float = 0.0
    alignment: float = 0.0
    perceptual: float = 0.0
    adversarial: float = 0.0
    gradient_penalty: float = 0.1
    adversarial_start: float = 0.1
    decoder_only: bool = False
    redrawn: float = 0.0
    redrawn_until: int = 400

    def build(self, sources: Sources) -> AutoencoderObjective:
        """See the base class."""
        return AutoencoderObjective(self, sources)


class AutoencoderObjective(Objective):
    """Mean absolute error of pixels plus that of their horizontal and vertical differences (sharp edges; *inferred*).

    Args:
        config: the options.
        sources: where the face reader is; needed for ``alignment`` and ``perceptual`` alone.
    """

    config_type = AutoencoderConfig

    def __init__(self, config: AutoencoderConfig | None = None, sources: Sources | None = None) -> None:
        super().__init__()
        self.config = config = config or AutoencoderConfig()
        vae = StudioAutoencoder(
            latent_channels=config.latent_channels, block_out_channels=config.block_out_channels,
            linear=config.linear, variational=config.kl > 0, output_shuffle=config.output_shuffle,
            reduction=config.reduction,
        )  # fmt: skip
        self.vae = vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for part in (self.vae.encoder, self.vae.linear_encoder):
            if part is not None:
                part.requires_grad_(not config.decoder_only)
        self.reader: StudioFaceNet | None = None
        self.project: nn.Conv2d | None = None
        if config.alignment or config.perceptual:
            if sources is None:
                raise ConfigError("The terms `alignment` and `perceptual` need a trained reader.")
            reader = StudioFaceNet.from_pretrained(sources.path("reader/face"))
            self.reader = reader.float().eval().requires_grad_(False)
        if config.alignment:
            assert self.reader is not None
            self.project = nn.Conv2d(config.latent_channels, self.reader.config["widths"][2], 1)
        self.discriminator = PatchDiscriminator() if config.adversarial else None
        if config.redrawn and (sources is None or not config.decoder_only):
            raise ConfigError("`redrawn` needs a trained base, whose latents `decoder_only` keeps: set it too.")
        self.redrawn = Redrawn(sources, config.redrawn_until) if config.redrawn and sources is not None else None

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Start from the PCA of the patches (a continued run then loads its own weights over it); where faces are."""
        self.places = face_places(corpus, corpus["images"].shape[1] // self.vae.patch)
        if self.vae.linear_encoder is not None:
            rows = spread_rows(len(corpus), 400)
            self.vae.init_from_pca(pictures_to_tensor(corpus["images"][rows]))

    def learning_rates(self) -> dict[str, float]:
        """The discriminator has to keep up with a decoder that knows its task."""
        return {"discriminator.": 1.3}

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures, half of them mirrored, how much each pixel weighs, and how they are transformed."""
        rows = rng.integers(0, len(corpus), size)
        pictures = pictures_to_tensor(corpus["images"][rows])
        places = torch.from_numpy(self.places[rows].astype(np.float32))[:, None]
        weights = 1 + self.config.emphasis * nn.functional.interpolate(places, scale_factor=self.vae.patch)
        mirrored = torch.from_numpy(rng.random(size) < 0.5)[:, None, None, None]
        found = {
            name: torch.where(mirrored, values.flip(3), values)
            for name, values in {"pictures": pictures, "weights": weights / weights.mean()}.items()
        }
        if self.config.crop:
            step = self.vae.patch if self.config.decoder_only else 1
            top, left = (rng.integers(0, (pictures.shape[-1] - self.config.crop) // step + 1, 2) * step).tolist()
            if self.config.decoder_only:
                found["corner"] = torch.tensor([top, left]).repeat(size, 1)  # one of all rows
            else:
                found = {name: _cut(values, top, left, self.config.crop) for name, values in found.items()}
        if self.config.redrawn:
            found["redrawn"] = torch.from_numpy(rng.random(size) < self.config.redrawn)
        if self.config.equivariance and rng.random() < self.config.equivariance:
            found["transform"] = torch.tensor([rng.choice(SCALES), rng.integers(4)]).repeat(size, 1)  # one of all rows
        return found | {ROW: torch.from_numpy(rows)}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        config = self.config
        pictures = batch["pictures"].contiguous(memory_format=torch.channels_last)
        weights = batch["weights"]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not config.decoder_only):
            latents, log_variance = self.vae.raw_moments(pictures)
        if self.redrawn is not None:
            shown = self.redrawn(self.vae.normalised(latents.float()), batch["redrawn"], generator)
            latents = self.vae.unnormalised(shown)
        if "corner" in batch:
            top, left = batch["corner"][0].tolist()
            pictures, weights = (_cut(values, top, left, config.crop) for values in (pictures, weights))
            place = (top // self.vae.patch, left // self.vae.patch, config.crop // self.vae.patch)
            latents = _cut(latents, *place)
            log_variance = None if log_variance is None else _cut(log_variance, *place)
        given, wanted = self._noised(latents, log_variance, generator), pictures
        if "transform" in batch:
            scale, turns = batch["transform"][0].tolist()
            given, wanted = transformed(given, wanted, scale, int(turns))
            weights = torch.rot90(weights, int(turns), (2, 3))
            weights = nn.functional.interpolate(weights, size=wanted.shape[-2:])
        output = self.vae.raw_decode(given).float()
        difference = output - wanted
        loss, pixels = self._pixel_loss(difference, weights)
        if config.fine < 1:
            coarse = (nn.functional.avg_pool2d(values, 2) for values in (difference, weights))
            loss = config.fine * loss + (1 - config.fine) * self._pixel_loss(*coarse)[0]
        loss = loss + config.range_weight * nn.functional.relu(latents.float().pow(2).mean() - 1)
        logs = {"l1": pixels.detach()}
        if log_variance is not None:
            term = kl_to_normal(latents.float(), log_variance.float())
            loss, logs["kl"] = loss + config.kl * term, term.detach()
        if config.perceptual:
            term = self._perceptual(output, wanted)
            loss, logs["perceptual"] = loss + config.perceptual * term, term.detach()
        if self.project is not None:
            term = feature_alignment(self.project(latents), self._maps(pictures)[1])
            scale = self._balance(loss, term, self.vae.encoder[-1].weight)
            loss, logs["alignment"] = loss + config.alignment * scale * term, term.detach()
        if self.discriminator is not None:
            for_decoder, for_judge = adversarial_losses(self.discriminator, output, wanted, config.gradient_penalty)
            scale = self._balance(loss, for_decoder, self.vae.decoder[-2].weight)
            counts = float(self.progress >= config.adversarial_start)
            loss = loss + counts * config.adversarial * scale * for_decoder + for_judge
            logs |= {"generator": for_decoder.detach(), "discriminator": for_judge.detach()}
        return loss, logs  # type: ignore[return-value]

    def _pixel_loss(self, difference: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """All terms of pixels [B, 3, H, W] with weights [B, 1, H, W], and the absolute one among them."""
        pixels = (weights * difference.abs()).mean()
        across, down = difference.diff(dim=3).abs(), difference.diff(dim=2).abs()
        loss = pixels + (weights[..., 1:] * across).mean() + (weights[..., 1:, :] * down).mean()
        if self.config.square:
            loss = loss + self.config.square * (weights * difference.pow(2)).mean()
        return loss, pixels

    def _noised(self, latents: Tensor, log_variance: Tensor | None, generator: torch.Generator) -> Tensor:
        """Latents with noise: of the variational encoder's own variance, and of what a decoder has to forgive."""
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        if log_variance is not None:
            latents = latents + (0.5 * log_variance).exp() * noise
            noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        deviation: float | Tensor = self.config.noise
        if self.config.max_noise > self.config.noise:
            drawn = torch.rand(len(latents), 1, 1, 1, generator=generator, device=latents.device)
            deviation = self.config.noise + (self.config.max_noise - self.config.noise) * drawn
        return latents + deviation * self.vae.latent_std * noise

    def _balance(self, loss: Tensor, term: Tensor, last: Tensor) -> Tensor | float:
        """See :func:`adaptive_weight`; 1 without gradients, or where the layer is frozen."""
        return adaptive_weight(loss, term, last) if torch.is_grad_enabled() and last.requires_grad else 1.0

    def _maps(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        assert self.reader is not None
        return self.reader.maps(pictures)

    def _perceptual(self, output: Tensor, wanted: Tensor) -> Tensor:
        """Mean squared difference of the reader's feature maps, each position's of norm 1 (as in LPIPS, unweighted)."""
        with torch.no_grad():
            right = self._maps(wanted)
        terms = [
            (nn.functional.normalize(a.float(), dim=1) - nn.functional.normalize(b.float(), dim=1)).square().sum(1)
            for a, b in zip(self._maps(output), right, strict=True)
        ]
        return torch.stack([term.mean() for term in terms]).sum()

    def calibrate(self, corpus: Corpus) -> None:
        """The normalisation of the latents, on training pictures."""
        if not self.config.decoder_only:
            self.vae.fit_normalisation(self._latents(corpus, spread_rows(len(corpus), 1024)))

    def validate(self, corpus: Corpus) -> Logs:
        """PSNR (dB) and power by octave on pictures of held-out people."""
        held_out = corpus.held_out or corpus
        images = held_out["images"][spread_rows(len(held_out), 512)]
        parts = pictures_to_tensor(images).split(64)
        drawn = torch.cat([self.vae(part.to(self.vae.device)).sample.float().clamp(-1, 1).cpu() for part in parts])
        kept = octave_power(drawn.permute(0, 2, 3, 1).numpy() * 127.5) / octave_power(images)
        return {"psnr": psnr(drawn, images)} | {f"octave_{row}": float(share) for row, share in enumerate(kept)}

    def _latents(self, corpus: Corpus, rows: np.ndarray) -> Tensor:
        pictures = pictures_to_tensor(corpus["images"][rows])
        return torch.cat([self.vae.raw_encode(part.to(self.vae.device)).float() for part in pictures.split(64)])

    def extra_state(self) -> dict[str, Tensor]:
        """The encoder and the normalisation that the decoder is trained for; `prepare` would start them anew."""
        trained = {name for name, parameter in self.vae.named_parameters() if parameter.requires_grad}
        every = self.vae.state_dict() if self.config.decoder_only else {}
        return {name: value for name, value in every.items() if name not in trained}

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"vae": self.vae}

    def start_from(self, folder: Path) -> None:
        """See the base class; an autoencoder with another decoder gives its latents (:meth:`grow_from`)."""
        stored = open_part(StudioAutoencoder, folder / "vae")
        shapes, own = ({name: value.shape for name, value in vae.state_dict().items()} for vae in (stored, self.vae))
        if shapes != own:
            self.vae.grow_from(stored)
        else:
            super().start_from(folder)


def _cut(values: Tensor, top: int, left: int, side: int) -> Tensor:
    return values[..., top : top + side, left : left + side]


def psnr(drawn: Tensor, images: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB (peak 1 on [0, 1] pictures), mean squared error over all pictures.

    Args:
        drawn: [N, 3, H, W] in [-1, 1].
        images: uint8 [N, H, W, 3], what should have been drawn.
    """
    return float(decibels(((drawn - pictures_to_tensor(images)) / 2).double().square().mean()))
