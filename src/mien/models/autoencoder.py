"""A small autoencoder for portraits of 128 or 256 px: a linear (PCA) path plus convolutional residual paths.

Both ends start as the PCA of square patches, so that the first picture already comes back at about 28 dB; the
convolutional paths start at zero and learn the rest (*inferred*; measured in docs/studio-training.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import BaseOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny

Autoencoder: TypeAlias = "AutoencoderKL | AutoencoderTiny | StudioAutoencoder"
"""Whatever a base has."""


@dataclass
class EncoderOutput(BaseOutput):
    """``latents`` [B, C, h, w], zero mean and unit standard deviation over the training renders."""

    latents: Tensor


class ResidualBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), the last convolution zero at the start."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        y = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(y)))


def _upsample(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs * 4, 3, 1, 1), nn.PixelShuffle(2))


def _reduced(sample: Tensor, factor: int) -> Tensor:
    return sample if factor == 1 else F.avg_pool2d(sample, factor)


def pixels_a_latent(config: Mapping[str, Any]) -> int:
    """Side in pixels of the square that a latent of :class:`StudioAutoencoder` stands for, from its configuration."""
    return int(config.get("output_shuffle", 2) * 2 ** (len(config["block_out_channels"]) - 1))


class StudioAutoencoder(ModelMixin, ConfigMixin):
    """Autoencoder in the style of ``AutoencoderTiny``; deterministic in use.

    Args:
        latent_channels: channels of the latent.
        block_out_channels: widths of the decoder, from fine to coarse, each at half the size of the one before;
            multiples of 8. The encoder has those at 1/4 of the size of the pictures that it is given and below.
        output_shuffle: 2 or 4: how many times finer the picture is than the finest of these. Three widths and a shuffle
            of 2 make latents of 8x8 pixels, three and 4 such of 16x16.
        scaling_factor, shift_factor: 1 and 0: the latents this class returns are normalised already.
        linear: with the linear paths; without them the convolutional ones start as others do.
        variational: the encoder also tells a variance, which its training uses (KL term); encoding gives the mean.
        reduction: pictures are brought down by this factor (means of squares) before they are encoded: latents of
            coarser pictures, from which the decoder draws finer ones. A base that knows such latents stays as it is.

    Example:
        >>> import torch
        >>> from mien.models import StudioAutoencoder
        >>> vae = StudioAutoencoder(latent_channels=4, block_out_channels=(8, 8, 8)).eval()
        >>> latents = vae.encode(torch.zeros(1, 3, 32, 32)).latents
        >>> latents.shape, vae.decode(latents).sample.shape
        (torch.Size([1, 4, 4, 4]), torch.Size([1, 3, 32, 32]))
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        block_out_channels: tuple[int, ...] = (32, 96, 160),
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        linear: bool = True,
        variational: bool = False,
        output_shuffle: int = 2,
        reduction: int = 1,
    ) -> None:
        super().__init__()
        first, last, z = block_out_channels[0], block_out_channels[-1], latent_channels
        self.patch = pixels_a_latent(self.config)
        coarse = self.patch // reduction
        if coarse * reduction != self.patch or coarse < 4 or coarse // 4 >= 2 ** len(block_out_channels):
            raise ConfigError(f"A reduction by {reduction} does not fit latents of {self.patch} pixels; take 1 or 2.")
        rest = block_out_channels[-(coarse // 4).bit_length() :]
        self.linear_encoder = nn.Conv2d(3, z, coarse, coarse) if linear else None
        self.linear_decoder = nn.ConvTranspose2d(z, 3, self.patch, self.patch) if linear else None
        down: list[nn.Module] = [nn.Conv2d(48, rest[0], 3, 1, 1), ResidualBlock(rest[0]), ResidualBlock(rest[0])]
        for narrow, wide in pairwise(rest):
            down += [nn.Conv2d(narrow, wide, 3, 2, 1), ResidualBlock(wide)]
        outputs = 2 * z if variational else z
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4), *down, nn.GroupNorm(8, last), nn.SiLU(), nn.Conv2d(last, outputs, 3, 1, 1)
        )
        up: list[nn.Module] = [nn.Conv2d(z, last, 3, 1, 1), ResidualBlock(last), ResidualBlock(last)]
        for wide, narrow in pairwise(reversed(block_out_channels)):
            up += [_upsample(wide, narrow), ResidualBlock(narrow), ResidualBlock(narrow)]
        self.decoder = nn.Sequential(
            *up, nn.GroupNorm(8, first), nn.SiLU(), nn.Conv2d(first, 3 * output_shuffle**2, 3, 1, 1),
            nn.PixelShuffle(output_shuffle),
        )  # fmt: skip
        if linear:
            for zero in (self.encoder[-1], self.decoder[-2]):
                for parameter in zero.parameters():
                    nn.init.zeros_(parameter)
        self.register_buffer("latent_mean", torch.zeros(1, z, 1, 1))
        self.register_buffer("latent_std", torch.ones(1, 1, 1, 1))

    @apply_forward_hook  # offloading wraps ``forward`` alone
    def encode(self, sample: Tensor, return_dict: bool = True) -> EncoderOutput | tuple[Tensor]:
        """Pictures [B, 3, H, W] in [-1, 1] -> normalised latents [B, C, H/P, W/P], P pixels to a latent.

        Raises:
            BadInput: if a side is not a multiple of P.
        """
        if sample.shape[-1] % self.patch or sample.shape[-2] % self.patch:
            raise BadInput(
                f"Picture sides must be multiples of {self.patch}, not {tuple(sample.shape[-2:])}; resize it first."
            )
        latents = self.normalised(self.raw_encode(sample))
        return EncoderOutput(latents=latents) if return_dict else (latents,)

    @apply_forward_hook
    def decode(self, latents: Tensor, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        """Normalised latents [B, C, h, w] -> pictures [B, 3, P h, P w], about [-1, 1] (not clamped)."""
        sample = self.raw_decode(self.unnormalised(latents))
        return DecoderOutput(sample=sample) if return_dict else (sample,)

    def normalised(self, latents: Tensor) -> Tensor:
        """Latents before normalisation -> after it."""
        return (latents - self.latent_mean) / self.latent_std

    def unnormalised(self, latents: Tensor) -> Tensor:
        """The inverse of :meth:`normalised`."""
        return latents * self.latent_std + self.latent_mean

    def raw_encode(self, sample: Tensor) -> Tensor:
        """Latents before normalisation (the training objective works on these)."""
        return self.raw_moments(sample)[0]

    def raw_moments(self, sample: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and logarithm of the variance of the latents before normalisation; None where it is not variational."""
        sample = _reduced(sample, self.config["reduction"])
        mean, *log_variance = self.encoder(sample).split(self.config["latent_channels"], 1)
        if self.linear_encoder is not None:
            mean = mean + self.linear_encoder(sample)
        return mean, log_variance[0].clamp(-30, 20) if log_variance else None

    def raw_decode(self, latents: Tensor) -> Tensor:
        """The inverse of :meth:`raw_encode`."""
        drawn = self.decoder(latents)
        return drawn if self.linear_decoder is None else drawn + self.linear_decoder(latents)

    def forward(self, sample: Tensor) -> DecoderOutput:
        """Pictures -> latents -> pictures."""
        return self.decode(self.encode(sample).latents)  # type: ignore[union-attr,return-value]

    @torch.no_grad()
    def init_from_pca(self, pictures: Tensor) -> None:
        """Set both linear paths to the PCA of the pictures' patches.

        Channel k is scaled to standard deviation ~ eigenvalue_k^(1/4): halfway between raw and whitened, so that
        the diffusion model sees neither one dominant channel nor amplified noise (*inferred*, DESIGN section 3).

        Args:
            pictures: [N, 3, H, W] in [-1, 1]; a few hundred are enough.
        """
        assert self.linear_encoder is not None and self.linear_decoder is not None
        z, factor = self.config["latent_channels"], self.config["reduction"]
        side, pictures = self.patch // factor, _reduced(pictures, factor)
        patches = F.unfold(pictures.double(), side, stride=side).transpose(1, 2).reshape(-1, 3 * side * side)
        mean = patches.mean(0)
        eigenvalues, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        vectors, deviation = vectors.flip(1)[:, :z], eigenvalues.flip(0)[:z].sqrt()
        target = (deviation / deviation[-1]).sqrt()
        gain = target / target.pow(2).mean().sqrt() / deviation
        encoder = (vectors * gain).T.reshape(z, 3, side, side)
        self.linear_encoder.weight.copy_(encoder)
        self.linear_encoder.bias.copy_(-(mean @ (vectors * gain)))  # type: ignore[union-attr]
        self.linear_decoder.weight.copy_(
            F.interpolate((vectors / gain).T.reshape(z, 3, side, side), scale_factor=factor)
        )
        self.linear_decoder.bias.copy_(mean.reshape(3, -1).mean(1))  # type: ignore[union-attr]

    @torch.no_grad()
    def grow_from(self, stored: StudioAutoencoder) -> None:
        """Begin with another's latents, drawn by a decoder with other layers, or as finer pictures.

        The encoder and the normalisation are taken as they are, of the decoder what has the same shape and place, from
        the latents on; its linear path is enlarged to our pictures.

        Args:
            stored: latents of as many channels; its encoder reads pictures as ours brings them down.

        Raises:
            ConfigError: if its encoder is another.
        """
        own, theirs = self.state_dict(), stored.state_dict()
        encoding = [name for name in own if not name.startswith(("decoder.", "linear_decoder."))]
        if any(name not in theirs or theirs[name].shape != own[name].shape for name in encoding):
            raise ConfigError("The autoencoder to begin with has another encoder: its latents would be others.")
        taken = {name: theirs[name] for name in encoding}
        shared = (name for name in theirs if name.startswith("decoder.") and name in own)
        taken |= {name: theirs[name] for name in shared if theirs[name].shape == own[name].shape}
        if self.linear_decoder is not None and stored.linear_decoder is not None:
            for name in ("weight", "bias"):
                taken[f"linear_decoder.{name}"] = theirs[f"linear_decoder.{name}"]
            weight = "linear_decoder.weight"
            taken[weight] = F.interpolate(taken[weight], size=own[weight].shape[-1])
        self.load_state_dict(taken, strict=False)

    @torch.no_grad()
    def fit_normalisation(self, latents: Tensor) -> None:
        """Set the latents' mean (a channel) and standard deviation (one for all) from raw latents [N, C, h, w]."""
        self.latent_mean.copy_(latents.mean((0, 2, 3), keepdim=True))
        self.latent_std.copy_((latents - self.latent_mean).std().reshape(1, 1, 1, 1))
