"""What differs between the autoencoders of diffusers and the studio's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mien.models.autoencoder import StudioAutoencoder

if TYPE_CHECKING:
    from diffusers import ModelMixin

    from mien.models.autoencoder import Autoencoder


def vae_scale_factor(vae: ModelMixin) -> int:
    """Pixels a side for each latent position, e.g. 8."""
    if isinstance(vae, StudioAutoencoder):
        return int(vae.patch)
    return 2 ** (len(vae.config["block_out_channels"]) - 1)


@contextmanager
def without_overflow(vae: Autoencoder) -> Iterator[None]:
    """In float32 for a while, if its weights are float16 and its configuration says ``force_upcast`` (SDXL's own).

    Going there and back leaves the weights bit-equal.
    """
    needed = vae.dtype == torch.float16 and bool(vae.config.get("force_upcast"))
    if needed:
        torch.nn.Module.to(vae, torch.float32)  # diffusers' own warns at each change of precision
    try:
        yield
    finally:
        if needed:
            torch.nn.Module.to(vae, torch.float16)


def encode_pictures(vae: Autoencoder, pictures: Tensor) -> Tensor:
    """Pictures [P, 3, H, W] in [-1, 1] -> latents as the UNet sees them [P, C, h, w]; of a distribution its mode."""
    config, found = vae.config, _call(vae.encode, pictures)
    latents = found.latents if hasattr(found, "latents") else found.latent_dist.mode()
    return (latents - (config.get("shift_factor") or 0.0)) * config["scaling_factor"]


def decode_latents(vae: Autoencoder, latents: Tensor) -> Tensor:
    """Latents as the UNet sees them [P, C, h, w] -> pictures [P, 3, H, W], about [-1, 1], float32."""
    config = vae.config
    latents = latents / config["scaling_factor"] + (config.get("shift_factor") or 0.0)
    return _call(vae.decode, latents.to(vae.dtype)).sample.float()


def _call(way: Callable[..., Any], values: Tensor) -> Any:
    """The autoencoders differ in the types of what they take and give, not in how they are called."""
    return way(values)
