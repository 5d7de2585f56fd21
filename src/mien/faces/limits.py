"""Pictures of any shape as detectors can take them, and what they find there in pixels of the picture itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mien.faces.types import Face

LARGEST = 8000
"""Longest side in pixels that a detector is shown; beyond 32,767 with its border OpenCV aborts the whole process."""

Pixels = NDArray[np.uint8]


def faces_within_limits(
    pixels: Pixels, detect: Callable[[Pixels], list[Face]], border: float, mode: Literal["edge", "constant"]
) -> list[Face]:
    """Faces in a picture, looked for again with a border where none is found: those that fill a picture are missed.

    Args:
        pixels: RGB [H, W, 3].
        detect: finds faces in what it is shown, in pixels of that.
        border: share of each side that is added on both of its ends; none is added at 0.
        mode: what the border shows, as numpy's `pad` names it.

    Returns:
        The faces in pixels of the picture.
    """
    shown, scale = _capped(pixels)
    faces, x, y = detect(shown), 0, 0
    if not faces and border:
        # in proportion: a border of the long side around a strip would make a square of it
        y, x = (int(side * border) for side in shown.shape[:2])
        faces = detect(np.pad(shown, ((y, y), (x, x), (0, 0)), mode=mode))
    return faces if scale == 1 and not (x or y) else [_moved(face, x, y, scale) for face in faces]


def _capped(pixels: Pixels) -> tuple[Pixels, float]:
    """The picture with no side longer than `LARGEST`, and how many of its pixels are one of these."""
    from PIL import Image

    high, wide = pixels.shape[:2]
    scale = max(high, wide) / LARGEST
    if scale <= 1:
        return pixels, 1.0
    size = (max(1, round(wide / scale)), max(1, round(high / scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)), scale


def _moved(face: Face, x: int, y: int, scale: float) -> Face:
    """A face in pixels of the picture, of one in pixels of what was shown."""
    x0, y0, x1, y1 = face.box
    moved: dict[str, Any] = {"box": ((x0 - x) * scale, (y0 - y) * scale, (x1 - x) * scale, (y1 - y) * scale)}
    for name in ("landmarks", "points"):
        points = getattr(face, name)
        if points is not None:
            offset = np.array([x, y, 0][: points.shape[1]], np.float32)
            moved[name] = ((points - offset) * np.float32(scale)).astype(np.float32)
    return replace(face, **moved)
