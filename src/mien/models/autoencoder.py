"""A small autoencoder for 128 px portraits: a linear (PCA) path plus convolutional residual paths.

Both ends start as the PCA of 8x8 patches, so that the first picture already comes back at about 28 dB; the
convolutional paths start at zero and learn the rest (*inferred*; measured in docs/studio-training.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import BaseOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import BadInput

PATCH = 8


@dataclass
class EncoderOutput(BaseOutput):
    """``latents`` [B, C, H/8, W/8], zero mean and unit standard deviation over the training renders."""

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


class StudioAutoencoder(ModelMixin, ConfigMixin):
    """Deterministic autoencoder in the style of ``AutoencoderTiny``.

    Args:
        latent_channels: channels of the latent.
        block_out_channels: widths at 1/2, 1/4 and 1/8 of the picture's size; multiples of 8.
        scaling_factor, shift_factor: 1 and 0: the latents this class returns are normalised already.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        block_out_channels: tuple[int, int, int] = (32, 96, 160),
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> None:
        super().__init__()
        a, b, c = block_out_channels
        z = latent_channels
        self.linear_encoder = nn.Conv2d(3, z, PATCH, PATCH)
        self.linear_decoder = nn.ConvTranspose2d(z, 3, PATCH, PATCH)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(48, b, 3, 1, 1), ResidualBlock(b), ResidualBlock(b),
            nn.Conv2d(b, c, 3, 2, 1), ResidualBlock(c), nn.GroupNorm(8, c), nn.SiLU(), nn.Conv2d(c, z, 3, 1, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(z, c, 3, 1, 1), ResidualBlock(c), ResidualBlock(c), _upsample(c, b), ResidualBlock(b),
            ResidualBlock(b), _upsample(b, a), ResidualBlock(a), ResidualBlock(a), nn.GroupNorm(8, a), nn.SiLU(),
            nn.Conv2d(a, 12, 3, 1, 1), nn.PixelShuffle(2),
        )  # fmt: skip
        for last in (self.encoder[-1], self.decoder[-2]):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)
        self.register_buffer("latent_mean", torch.zeros(1, z, 1, 1))
        self.register_buffer("latent_std", torch.ones(1, 1, 1, 1))

    @apply_forward_hook  # offloading wraps ``forward`` alone
    def encode(self, sample: Tensor, return_dict: bool = True) -> EncoderOutput | tuple[Tensor]:
        """Pictures [B, 3, H, W] in [-1, 1], H and W multiples of 8 -> normalised latents [B, C, H/8, W/8].

        Raises:
            BadInput: if the size is not a multiple of 8.
        """
        if sample.shape[-1] % PATCH or sample.shape[-2] % PATCH:
            raise BadInput(
                f"Picture sides must be multiples of {PATCH}, not {tuple(sample.shape[-2:])}; resize it first."
            )
        latents = (self.raw_encode(sample) - self.latent_mean) / self.latent_std
        return EncoderOutput(latents=latents) if return_dict else (latents,)

    @apply_forward_hook
    def decode(self, latents: Tensor, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        """Normalised latents [B, C, h, w] -> pictures [B, 3, 8h, 8w], about [-1, 1] (not clamped)."""
        sample = self.raw_decode(latents * self.latent_std + self.latent_mean)
        return DecoderOutput(sample=sample) if return_dict else (sample,)

    def raw_encode(self, sample: Tensor) -> Tensor:
        """Latents before normalisation (the training objective works on these)."""
        return self.linear_encoder(sample) + self.encoder(sample)

    def raw_decode(self, latents: Tensor) -> Tensor:
        """The inverse of :meth:`raw_encode`."""
        return self.linear_decoder(latents) + self.decoder(latents)

    def forward(self, sample: Tensor) -> DecoderOutput:
        """Pictures -> latents -> pictures."""
        return self.decode(self.encode(sample).latents)  # type: ignore[union-attr,return-value]

    @torch.no_grad()
    def init_from_pca(self, pictures: Tensor) -> None:
        """Set both linear paths to the PCA of the pictures' 8x8 patches.

        Channel k is scaled to standard deviation ~ eigenvalue_k^(1/4): halfway between raw and whitened, so that
        the diffusion model sees neither one dominant channel nor amplified noise (*inferred*, DESIGN section 3).

        Args:
            pictures: [N, 3, H, W] in [-1, 1]; a few hundred are enough.
        """
        z = self.config["latent_channels"]
        patches = F.unfold(pictures.double(), PATCH, stride=PATCH).transpose(1, 2).reshape(-1, 3 * PATCH * PATCH)
        mean = patches.mean(0)
        eigenvalues, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        vectors, deviation = vectors.flip(1)[:, :z], eigenvalues.flip(0)[:z].sqrt()
        target = (deviation / deviation[-1]).sqrt()
        gain = target / target.pow(2).mean().sqrt() / deviation
        encoder = (vectors * gain).T.reshape(z, 3, PATCH, PATCH)
        self.linear_encoder.weight.copy_(encoder)
        self.linear_encoder.bias.copy_(-(mean @ (vectors * gain)))  # type: ignore[union-attr]
        self.linear_decoder.weight.copy_((vectors / gain).T.reshape(z, 3, PATCH, PATCH))
        self.linear_decoder.bias.copy_(mean.reshape(3, -1).mean(1))  # type: ignore[union-attr]

    @torch.no_grad()
    def fit_normalisation(self, latents: Tensor) -> None:
        """Set the latents' mean (a channel) and standard deviation (one for all) from raw latents [N, C, h, w]."""
        self.latent_mean.copy_(latents.mean((0, 2, 3), keepdim=True))
        self.latent_std.copy_((latents - self.latent_mean).std().reshape(1, 1, 1, 1))
