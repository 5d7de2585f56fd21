"""Frames that look like one video: every picture of a batch also attends to the first one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


@contextmanager
def anchored(unet: UNet2DConditionModel, rows: int) -> Iterator[None]:
    """While it lasts, self-attention reads keys and values of the batch's first picture beside a picture's own.

    What a prompt leaves open (background, clothes, the shade of the hair) is then decided once, by the first picture
    (after Text2Video-Zero, Khachatryan et al. 2023, which reads the first picture's alone). Nothing is trained.

    Args:
        unet: a ``UNet2DConditionModel``; afterwards it is as before.
        rows: number of pictures B; a call's rows are E x B, as guidance lays them out.
    """

    def beside(
        _module: object, inputs: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        own = inputs[0] if inputs else options["hidden_states"]
        first = own.unflatten(0, (-1, rows))[:, :1].expand(-1, rows, -1, -1).flatten(0, 1)
        return inputs, options | {"encoder_hidden_states": torch.cat([own, first], 1)}

    blocks = [module for name, module in unet.named_modules() if name.endswith(".attn1")]
    handles = [block.register_forward_pre_hook(beside, with_kwargs=True) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
