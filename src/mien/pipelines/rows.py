"""One row for each picture: its noise, its scales, its masks; and modules that are needed on another device a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from mien.errors import BadInput

Generators = torch.Generator | Sequence[torch.Generator] | None


def as_list(generator: Generators) -> torch.Generator | list[torch.Generator] | None:
    """Generators as diffusers takes them; a list of one stays a list (randn_tensor then treats it as one)."""
    return generator if generator is None or isinstance(generator, torch.Generator) else list(generator)


def initial_noise(
    shape: tuple[int, int, int, int], given: Tensor | None, generator: Generators, device: torch.device
) -> Tensor:
    """Unit noise [P, C, h, w] float32; with one generator a picture, each row comes from its own alone.

    Args:
        shape: (P, C, h, w).
        given: noise to take instead of drawing it.
        generator: one a picture, one for all, or None.
        device: where the noise goes; it is drawn on the generator's own.

    Raises:
        BadInput: if ``given`` has another shape, or the number of generators is not P.
    """
    if given is not None:
        if tuple(given.shape) != shape:
            raise BadInput(f"latents must have the shape {shape}, not {tuple(given.shape)}.")
        return given.to(device, torch.float32)
    generators = as_list(generator)
    if isinstance(generators, list) and len(generators) != shape[0]:
        raise BadInput(
            f"{len(generators)} generators were given for {shape[0]} pictures; give one for each, or one in all."
        )
    return randn_tensor(shape, generator=generators, device=device, dtype=torch.float32)


def is_active(scale: float | Tensor | Sequence[float]) -> bool:
    """Whether a scale is above or below 0 for any picture."""
    return bool((torch.as_tensor(scale) != 0).any())


def per_picture(scale: float | Tensor | Sequence[float], count: int) -> Tensor:
    """One number [], or that of each picture [P] of P numbers, or of B, one a row.

    Raises:
        BadInput: if P is no multiple of B.
    """
    scales = torch.as_tensor(scale, dtype=torch.float32)
    if scales.ndim == 0:
        return scales
    if count % len(scales):
        raise BadInput(f"{len(scales)} scales do not fit {count} pictures; give one number, or one for each.")
    return scales.repeat_interleave(count // len(scales), 0)


def expand_masks(mask: Tensor, count: int, device: torch.device) -> Tensor:
    """Region masks [P, H, W] of one mask [H, W] or several [B, H, W]; pictures [P, 3, H, W] likewise.

    Raises:
        BadInput: if P is no multiple of B.
    """
    mask = mask[None] if mask.ndim == 2 else mask
    if count % len(mask):
        raise BadInput(f"{len(mask)} region masks do not fit {count} pictures; give one for each, or one in all.")
    return mask.repeat_interleave(count // len(mask), 0).to(device)


@contextmanager
def on_device(modules: Iterable[nn.Module], device: torch.device) -> Iterator[None]:
    """Modules on ``device`` for a while: where a base is offloaded its branches live on the CPU, as the base does."""
    own = [(module, next(module.parameters()).device) for module in modules]
    for module, _ in own:
        nn.Module.to(module, device)
    try:
        yield
    finally:
        for module, before in own:
            nn.Module.to(module, before)
