"""Pictures through an autoencoder and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mien.core.progress import Advance
from mien.evaluation.png import Pixels

if TYPE_CHECKING:
    from mien.models.autoencoder import Autoencoder


_BATCH = 32


def reconstructed(vae: Autoencoder, pictures: Sequence[Pixels], advance: Advance = lambda _: None) -> list[Pixels]:
    """Pictures uint8 [S, S, 3], encoded and decoded."""
    import torch

    from mien.core.pixels import pictures_to_tensor, tensor_to_pictures
    from mien.pipelines.autoencoders import decode_latents, encode_pictures

    found: list[Pixels] = []
    for start in range(0, len(pictures), _BATCH):
        part = pictures_to_tensor(pictures[start : start + _BATCH])
        with torch.no_grad():
            found += list(tensor_to_pictures(decode_latents(vae, encode_pictures(vae, part.to(vae.dtype)))))
        advance(len(part))
    return found
