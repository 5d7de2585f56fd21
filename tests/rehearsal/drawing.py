"""A small Stable Diffusion 1.5 that draws faces: an autoencoder made by hand, a UNet that knows a few renders by heart.

A base of random weights draws nothing that a reader takes for a face, so that nothing after it could be rehearsed. This
one has the published layout, and takes no data and a minute to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn

from mien.core.pixels import pictures_to_tensor
from tests.published import SCHEDULE

_SIGNALS = 4
_CHANNELS = 6
"""Of the autoencoder: four with the picture, two constants of `_LARGE` and minus that."""
_LARGE = 100.0
_LIFT = 20.0
"""What a number is raised by before SiLU, which then leaves it as it is."""
GAIN = 14.0
"""Of latents, so that their spread after the published scaling is about 1."""
_MEAN, _SMOOTH, _NEXT = (0.5, 0.5, 0.0), (0.25, 0.5, 0.25), (0.0, 0.0, 1.0)
"""Kernels of three pixels: mean of a pair, a soft one, the neighbour on the right."""
_SHARP = {-1: -0.25, 0: 1.5, 1: -0.25}
"""What each pixel of the latents' picture takes of itself and of its neighbours, against the blur that follows."""
_RATE = 4e-3
"""Of learning."""


def grey_autoencoder(side: int) -> AutoencoderKL:
    """An autoencoder of the published layout whose latents are a grey picture of a quarter of the side.

    The four numbers of each place of the latents are the mean grey values of its four quarters. All blocks pass on what
    they are given, and the two layers of normalisation before the last layers divide by a constant, since two large
    constants outweigh the picture; they take a part of a picture's mean away, so that all are of middle brightness.

    Args:
        side: ``sample_size``.
    """
    kinds: Any = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    kinds["block_out_channels"] = (_CHANNELS,) * 4
    vae: Any = AutoencoderKL(**kinds, norm_num_groups=1, latent_channels=_SIGNALS, sample_size=side)
    with torch.no_grad():
        for name, weights in vae.named_parameters():
            if "norm" not in name:
                weights.zero_()
        encoder, decoder = vae.encoder, vae.decoder
        encoder.conv_in.weight[0, :, 1, 1] = 1 / 3
        for block in encoder.down_blocks[:2]:  # means of two by two pixels
            block.downsamplers[0].conv.weight[0, 0] = _kernel(_MEAN, _MEAN)
        fourth = encoder.down_blocks[2].downsamplers[0].conv
        for number in range(_SIGNALS):
            fourth.weight[number, 0, number // 2, number % 2] = 1.0
        fourth.bias[_SIGNALS:] = torch.tensor([_LARGE, -_LARGE])
        _plain(encoder.conv_norm_out)
        for number in range(_SIGNALS):
            encoder.conv_out.weight[number, number, 1, 1] = GAIN
            encoder.conv_out.bias[number] = -GAIN * _LIFT
            for (down, one), (right, other) in product(_SHARP.items(), repeat=2):
                rows, row = divmod(number // 2 + down, 2)
                columns, column = divmod(number % 2 + right, 2)
                decoder.conv_in.weight[number, 2 * row + column, 1 + rows, 1 + columns] += one * other / GAIN
        encoder.conv_out.bias[_SIGNALS:] = -30.0  # logarithm of the variance: none
        _same(vae.quant_conv)
        _same(vae.post_quant_conv)
        first, second, third = (block.upsamplers[0].conv for block in decoder.up_blocks[:3])
        for number in range(_SIGNALS):  # each quarter to its place, with a half of its neighbour
            row, column = ((0.0, 0.5, 0.0) if odd == 0 else (0.5, 0.0, 0.0) for odd in divmod(number, 2))
            first.weight[0, number] = _kernel(row, column)
        second.weight[0, 0] = _kernel(_NEXT, _NEXT)  # back by the half pixel that this moved the picture
        third.weight[0, 0] = _kernel(_SMOOTH, _SMOOTH)
        third.bias[_SIGNALS:] = torch.tensor([_LARGE, -_LARGE])
        _plain(decoder.conv_norm_out)
        decoder.conv_out.weight[:, 0, 1, 1] = 1.0
        decoder.conv_out.bias[:] = -_LIFT
    return vae


def _kernel(rows: Sequence[float], columns: Sequence[float]) -> Tensor:
    return torch.outer(torch.tensor(rows), torch.tensor(columns))


def _same(convolution: nn.Conv2d) -> None:
    for number in range(convolution.out_channels):
        convolution.weight[number, number] = 1.0


def _plain(norm: nn.GroupNorm) -> None:
    """Let a normalisation of the six channels give the picture itself, raised by `_LIFT`."""
    norm.weight.fill_(_LARGE * (2 / _CHANNELS) ** 0.5)
    norm.bias.fill_(_LIFT)


def remembering_unet(config: UNet2DConditionModel, latents: Tensor, steps: int = 450) -> UNet2DConditionModel:
    """A UNet that draws some pictures whatever it is told; it learns to by the loss that the published one learnt by.

    Args:
        config: a UNet whose layout it has; its channels are its own.
        latents: float [N, 4, H, W], scaled, of the pictures that it is to draw.
        steps: of eight noisy latents each; 450 take 40 seconds of a core for latents of 16 x 16.

    Returns:
        The network; the same on the same machine.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet: Any = UNet2DConditionModel.from_config({**config.config, "block_out_channels": (32, 64)})
    noises, random = DDPMScheduler(**SCHEDULE), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=_RATE, weight_decay=0.0)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for _ in range(steps):
        clean = latents[torch.randint(len(latents), (8,), generator=random)]
        noise, times = torch.randn(clean.shape, generator=random), torch.randint(1000, (8,), generator=random)
        text = torch.randn(8, 4, unet.config.cross_attention_dim, generator=random)
        loss = (unet(noises.add_noise(clean, noise, times), times, text).sample - noise).square().mean()  # type: ignore[arg-type]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        rates.step()
    return unet


def teach_faces(folder: Path, pictures: Sequence[Image.Image]) -> None:
    """Give a made-up ``sd15`` folder the autoencoder and a UNet that draws these pictures."""
    unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet")
    vae = grey_autoencoder(8 * unet.config.sample_size)
    with torch.no_grad():
        mean = vae.encode(pictures_to_tensor(pictures)).latent_dist.mean  # type: ignore[union-attr]
    unet = remembering_unet(unet, mean * vae.config["scaling_factor"])
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
