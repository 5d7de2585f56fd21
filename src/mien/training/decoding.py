"""Latents to pictures inside a loss, and what saves memory there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mien.core.io import read_json
from mien.errors import BadInput, MissingAsset
from mien.pipelines.autoencoders import decode_latents, vae_scale_factor

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

    from mien.models.autoencoder import Autoencoder


Region = Literal["whole", "face"]
FACE = 1.1
"""The face is the upright box around its landmarks, this much enlarged."""
MARGIN = 4
"""Cells of the latent decoded around the face and thrown away: the decoder's convolutions reach about that far."""

Statistics = dict[str, tuple[Tensor, Tensor]]


class Box(NamedTuple):
    """A part of a latent, in cells."""

    top: int
    left: int
    height: int
    width: int

    def of(self, values: Tensor, scale: int = 1) -> Tensor:
        """The part of [..., h, w] (times ``scale``) inside the box."""
        rows = slice(self.top * scale, (self.top + self.height) * scale)
        return values[..., rows, self.left * scale : (self.left + self.width) * scale]


def decode(
    vae: Autoencoder,
    latents: Tensor,
    points: Tensor | None = None,
    region: Region = "whole",
    checkpointing: bool = False,
) -> Tensor:
    """Pictures [B, 3, H, W], about [-1, 1], float32, that gradients pass through.

    Args:
        vae: a frozen autoencoder: the studio's, AutoencoderKL or AutoencoderTiny.
        latents: [B, C, h, w] as the UNet sees them.
        points: landmarks [B, 478, 2 or 3] in pixels of the pictures; needed for ``region="face"``.
        region: through ``"face"`` only the gradient of the face is computed. The picture is the same: it is decoded
            once more without gradients.
        checkpointing: picture by picture, and again in the backward pass, so that one picture's activations are all
            that is ever held.
    """
    run = partial(_row, vae, region)
    if not checkpointing:
        return run(latents, points)
    rows = zip(latents.split(1), [None] * len(latents) if points is None else points.split(1), strict=True)
    again = partial(checkpoint, run, use_reentrant=False, preserve_rng_state=False)
    return torch.cat([again(latent, where) for latent, where in rows])  # type: ignore[misc]


def _row(vae: Autoencoder, region: Region, latents: Tensor, points: Tensor | None) -> Tensor:
    if region == "whole" or not (latents.requires_grad and torch.is_grad_enabled()):
        return decode_latents(vae, latents)
    assert points is not None, "the place of the face is not known"
    statistics: Statistics = {}
    with torch.no_grad(), _recorded(vae, statistics):
        pictures = decode_latents(vae, latents)
    scale = vae_scale_factor(vae)
    boxes = face_boxes(points, latents.shape[-2], latents.shape[-1], scale)
    parts = decode_boxes(vae, latents, boxes, statistics)
    sized = pictures.shape[-2:]
    return pictures + torch.stack([_gradient_alone(*one, sized, scale) for one in zip(parts, boxes, strict=True)])


def _gradient_alone(part: Tensor, box: Box, sized: torch.Size, scale: int) -> Tensor:
    """Zeros of the picture's size that hand the gradient on to a decoded part, up to its margin."""
    margins = [MARGIN * scale * inside for inside in (
        box.top > 0, (box.top + box.height) * scale < sized[0],
        box.left > 0, (box.left + box.width) * scale < sized[1],
    )]  # fmt: skip
    top, bottom, left, right = margins
    inner = part[:, top : part.shape[1] - bottom, left : part.shape[2] - right]
    above, before = box.top * scale + top, box.left * scale + left
    around = (before, sized[1] - before - inner.shape[2], above, sized[0] - above - inner.shape[1])
    return F.pad(inner - inner.detach(), around)


@torch.no_grad()
def face_boxes(points: Tensor, height: int, width: int, scale: int) -> list[Box]:
    """The cells of latents [h, w] that hold each face and its margin; all boxes of a batch have one size.

    Args:
        points: [B, 478, 2 or 3] in pixels.
        height: h.
        width: w.
        scale: pixels a side for each cell.
    """
    low, high = points[..., :2].float().amin(1), points[..., :2].float().amax(1)
    middle, half = (low + high) / 2, (high - low) / 2 * FACE
    first = ((middle - half) / scale).floor().long() - MARGIN
    last = ((middle + half) / scale).ceil().long() + MARGIN
    wide, tall = (last - first).amax(0).tolist()
    wide, tall = min(wide, width), min(tall, height)
    return [Box(min(max(y, 0), height - tall), min(max(x, 0), width - wide), tall, wide) for x, y in first.tolist()]


def decode_boxes(vae: Autoencoder, latents: Tensor, boxes: list[Box], statistics: Statistics) -> Tensor:
    """Parts [B, 3, scale * height, scale * width] of pictures, as they are in the whole but for the parts' borders.

    Group normalisation takes the mean and variance of the whole picture, from ``statistics`` (no gradient passes
    through these). AutoencoderKL's attention sees the whole latent: there the part is cut out behind it.
    """
    middle = getattr(getattr(vae, "decoder", None), "mid_block", None)
    with ExitStack() as stack:
        stack.enter_context(_fixed(vae, statistics))
        if middle is None:
            latents = _cut(latents, boxes)
        else:
            handle = middle.register_forward_hook(lambda module, inputs, output: _cut(output, boxes))
            stack.callback(handle.remove)
        return decode_latents(vae, latents)


def _cut(values: Tensor, boxes: list[Box]) -> Tensor:
    return torch.stack([box.of(row) for row, box in zip(values, boxes, strict=True)])


def _norms(vae: Autoencoder) -> dict[str, nn.GroupNorm]:
    """The decoder's group normalisations, less those that see the whole latent anyway."""
    found = vae.decoder.named_modules()
    return {name: one for name, one in found if isinstance(one, nn.GroupNorm) and not name.startswith("mid_block")}


def _grouped(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    return x.unflatten(1, (norm.num_groups, -1))


def tiny_autoencoder(folder: Path, channels: int, side: int, picture: int) -> AutoencoderTiny:
    """A diffusers ``AutoencoderTiny`` that decodes latents [B, channels, side, side] to pictures of ``picture`` px.

    Raises:
        MissingAsset: if there is none in the folder.
        BadInput: if it was made for other latents.
    """
    from diffusers import AutoencoderTiny

    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    if config.get("_class_name") != AutoencoderTiny.__name__:
        raise MissingAsset(f"There is no AutoencoderTiny in {folder}: give a folder that its save_pretrained wrote.")
    vae = AutoencoderTiny.from_pretrained(folder)
    own = vae.config["latent_channels"]
    if own != channels or side * vae_scale_factor(vae) != picture:
        raise BadInput(
            f"The decoder in {folder} draws {vae_scale_factor(vae)} pixels from each of {own} channels, "
            f"but the base has {channels} channels and {picture // side} pixels: take the one made for it."
        )
    return vae


@contextmanager
def _recorded(vae: Autoencoder, statistics: Statistics) -> Iterator[None]:
    """Note each normalisation's mean and variance, [B, groups, 1, 1, 1]."""

    def note(name: str, norm: nn.GroupNorm, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(_grouped(inputs[0], norm), (2, 3, 4), correction=0, keepdim=True)
        statistics[name] = (mean, variance)

    with ExitStack() as stack:
        for name, norm in _norms(vae).items():
            stack.callback(norm.register_forward_pre_hook(partial(note, name)).remove)
        yield


@contextmanager
def _fixed(vae: Autoencoder, statistics: Statistics) -> Iterator[None]:
    """Normalise by these means and variances for a while."""

    def normalise(norm: nn.GroupNorm, mean: Tensor, variance: Tensor, x: Tensor) -> Tensor:
        y = ((_grouped(x, norm) - mean) / (variance + norm.eps).sqrt()).flatten(1, 2)
        return torch.addcmul(norm.bias[:, None, None], y, norm.weight[:, None, None])

    norms = _norms(vae)
    try:
        for name, norm in norms.items():
            norm.forward = partial(normalise, norm, *statistics[name])  # type: ignore[method-assign]
        yield
    finally:
        for norm in norms.values():
            vars(norm).pop("forward", None)
