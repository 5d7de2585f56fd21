"""LIQE as a filter of templates: a user's export of the network that tells how good a picture looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import BadInput
from mien.faces.onnx import OnnxModel

SIDE = 224
"""Of the squares that LIQE reads, in pixels."""
PLACES = 3
"""Squares along each side of a picture that is larger than one of them (*ours*)."""


class PictureQuality:
    """LIQE (Zhang et al., CVPR 2023), as an ONNX file: the mean over squares of the picture.

    Convention:
        One input [N, 3, 224, 224] (or N = 1), RGB in [0, 1]: CLIP's normalisation is inside the file. One output with
        a number for each square, [N] or [N, 1], from 1 (bad) to 5 (perfect).

    Args:
        path: the file.

    Raises:
        BadInput: if it is no ONNX file, or reads something else.
        MissingDependency: without onnxruntime.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._model = path, OnnxModel(path)
        shape = self._model.input.shape
        if len(shape) != 4 or list(shape[1:]) != [3, SIDE, SIDE]:
            raise BadInput(
                f"{path} reads {shape} and not [N, 3, {SIDE}, {SIDE}]: export LIQE as docs/how-to-pairs.md says."
            )

    def __call__(self, image: NDArray[np.uint8]) -> float:
        """The quality of a picture uint8 [H, W, 3], 1 to 5.

        Raises:
            BadInput: if the file tells something else than a number for each square.
        """
        squares = np.stack(_squares(image)).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
        outputs = self._model(squares)
        values = next(iter(outputs.values()))
        if len(outputs) != 1 or values.size != len(squares):
            raise BadInput(f"{self._path} tells no number for each square: export LIQE as docs/how-to-pairs.md says.")
        return float(values.mean())


def _squares(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Squares of `SIDE`, evenly over the picture; a smaller picture is enlarged to one."""
    from PIL import Image

    height, width = image.shape[:2]
    if min(height, width) < SIDE:
        scale = SIDE / min(height, width)
        size = max(round(width * scale), SIDE), max(round(height * scale), SIDE)
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    rows, columns = (np.unique(np.linspace(0, side - SIDE, PLACES).round().astype(int)) for side in image.shape[:2])
    return [image[top : top + SIDE, left : left + SIDE] for top in rows for left in columns]
