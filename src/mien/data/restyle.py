"""Pictures in another style, by plain picture operations: for bases that an adapter has never seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from mien.errors import ConfigError, one_of


def cartoon(picture: Image.Image) -> Image.Image:
    """Flat areas of few colours with dark outlines."""
    flat = ImageEnhance.Color(picture.filter(ImageFilter.MedianFilter(3))).enhance(1.6)
    flat = flat.quantize(40, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).convert("RGB")
    inner = picture.convert("L").filter(ImageFilter.SMOOTH_MORE).filter(ImageFilter.FIND_EDGES)
    edges = Image.new("L", picture.size)
    edges.paste(inner.crop((1, 1, picture.width - 1, picture.height - 1)), (1, 1))  # the filter draws a frame
    outline = Image.eval(edges, lambda value: max(0, 255 - max(0, value - 70) * 3))
    return Image.composite(flat, Image.new("RGB", picture.size, (28, 22, 40)), outline)


def engraving(picture: Image.Image) -> Image.Image:
    """Sepia tones, contrast from edges."""
    grey = ImageOps.autocontrast(picture.convert("L").filter(ImageFilter.UnsharpMask(2, 180, 2)), cutoff=2)
    return ImageOps.colorize(grey, black=(40, 22, 10), mid=(176, 132, 84), white=(250, 240, 216))


STYLES: dict[str, Callable[[Image.Image], Image.Image]] = {"cartoon": cartoon, "engraving": engraving}


def restyle(pictures: np.ndarray, style: str) -> np.ndarray:
    """Pictures uint8 [N, H, W, 3] in a style of :data:`STYLES`, of the same shape.

    Raises:
        ConfigError: for an unknown style.
    """
    if style not in STYLES:
        raise ConfigError(f"There is no style {style!r}{one_of(style, STYLES)}.")
    return np.stack([np.asarray(STYLES[style](Image.fromarray(picture)).convert("RGB")) for picture in pictures])
