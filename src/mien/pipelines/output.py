"""What a pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diffusers.utils.outputs import BaseOutput


@dataclass
class PortraitPipelineOutput(BaseOutput):
    """The pictures of one call, in the order of the conditions (all of the first person first).

    Attributes:
        images: list of PIL pictures, RGB; or with ``output_type`` ``"np"`` an array [P, H, W, 3] in [0, 1], ``"pt"`` a
            tensor [P, 3, H, W] in [0, 1], ``"latent"`` the latents [P, C, h, w].

    Example:
        >>> import mien
        >>> pipe = mien.load("studio")
        >>> pipe(emotion="happy", num_inference_steps=1, output_type="pt").images.shape
        torch.Size([1, 3, 256, 256])
    """

    images: Any
