"""Inception's pool features, for FID and KID: the TensorFlow network of 2015 as NVIDIA's TorchScript file.

Pictures are brought to 299 px with PIL's antialiased bicubic filter in floats ("clean" in Parmar et al. 2022): the
filter moves an FID by several points, so values only compare with others that were made this way. The package clean-fid
computes whole FIDs of folders and fetches the network itself; here features are wanted, for KID and bootstraps too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import BadInput

if TYPE_CHECKING:
    from mien.faces.types import Picture


SIDE = 299
WIDTH = 2048


class Inception:
    """Features [2048] of pictures.

    Args:
        path: ``inception-2015-12-05.pt``.

    Raises:
        BadInput: if it is no TorchScript file.
    """

    def __init__(self, path: Path) -> None:
        import torch

        try:
            self.device = "cuda" if torch.cuda.is_available() else "cpu"
            self.network: Any = torch.jit.load(str(path), map_location=self.device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise BadInput(f"{path} is no TorchScript file: get inception again.") from error

    def __call__(self, images: Sequence[Picture]) -> NDArray[np.float64]:
        """Features [B, 2048] of B pictures, PIL or uint8 [H, W, 3], on a GPU where there is one.

        Raises:
            BadInput: if the network tells something else.
        """
        import torch

        pixels = torch.from_numpy(np.stack([clean_resize(np.asarray(image)) for image in images])).permute(0, 3, 1, 2)
        with torch.no_grad():
            found = self.network(pixels.to(self.device), return_features=True).double().cpu().numpy()
        if found.shape != (len(images), WIDTH):
            raise BadInput(f"The file gives {found.shape[-1]} features, not Inception's {WIDTH}: get inception again.")
        return found


def clean_resize(pixels: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.float32]:
    """RGB [H, W, 3] of 0..255 as float [side, side, 3] of 0..255, each channel resized in floats and clipped."""
    from PIL import Image

    bands = [Image.fromarray(pixels[..., band].astype(np.float32)) for band in range(3)]
    resized = [np.asarray(band.resize((side, side), Image.Resampling.BICUBIC), np.float32) for band in bands]
    return np.stack(resized, -1).clip(0, 255)
