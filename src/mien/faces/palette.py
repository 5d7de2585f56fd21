"""Named colours of the studio: skin, hair, eyes, backgrounds, clothes, glasses, make-up."""

from __future__ import annotations

from typing import Final

import numpy as np

Rgb = tuple[float, float, float]
"""A colour in linear light, each channel in [0, 1]."""

Bytes3 = tuple[int, int, int]

# sRGB, palest to darkest; ours (inferred), chosen to span the Monk scale.
SKIN: Final[tuple[Bytes3, ...]] = (
    (232, 180, 152), (226, 170, 138), (216, 157, 121), (204, 147, 110),
    (180, 123, 87), (146, 97, 66), (110, 71, 49), (78, 50, 37),
)  # fmt: skip

HAIR: Final[dict[str, Bytes3]] = {
    "black": (24, 20, 20),
    "dark brown": (54, 36, 27),
    "brown": (90, 60, 40),
    "auburn": (112, 52, 30),
    "ginger": (174, 90, 44),
    "dark blonde": (146, 114, 72),
    "blonde": (202, 166, 110),
    "grey": (138, 136, 134),
    "white": (212, 210, 206),
    "pink": (208, 98, 140),
    "teal": (40, 126, 136),
}

# Outer and inner iris.
EYES: Final[dict[str, tuple[Bytes3, Bytes3]]] = {
    "dark brown": ((46, 26, 16), (72, 42, 24)),
    "brown": ((92, 54, 28), (122, 74, 38)),
    "hazel": ((112, 94, 52), (138, 94, 46)),
    "green": ((84, 112, 72), (130, 120, 70)),
    "blue": ((80, 120, 164), (130, 160, 182)),
    "grey": ((112, 126, 136), (150, 156, 156)),
}

# Centre and edge of the gradient.
BACKGROUNDS: Final[dict[str, tuple[Bytes3, Bytes3]]] = {
    "beige": ((228, 216, 202), (156, 140, 132)),
    "blue": ((172, 198, 226), (84, 112, 152)),
    "green": ((200, 216, 194), (108, 138, 104)),
    "pink": ((234, 200, 194), (172, 112, 106)),
    "grey": ((190, 192, 196), (112, 114, 120)),
    "dark": ((98, 102, 112), (38, 41, 50)),
    "yellow": ((238, 222, 170), (190, 156, 88)),
    "purple": ((208, 192, 222), (124, 100, 148)),
    "teal": ((172, 214, 212), (72, 126, 130)),
    "white": ((246, 245, 243), (206, 206, 208)),
    "orange": ((242, 206, 164), (194, 128, 76)),
    "brown": ((178, 150, 124), (92, 70, 56)),
}

CLOTHES: Final[dict[str, Bytes3]] = {
    "navy": (40, 50, 76),
    "red": (132, 36, 40),
    "green": (64, 92, 66),
    "beige": (200, 188, 168),
    "black": (34, 34, 37),
    "blue": (84, 112, 160),
    "mustard": (172, 126, 56),
    "purple": (106, 76, 120),
    "white": (222, 222, 220),
    "teal": (52, 110, 112),
    "pink": (202, 134, 146),
    "grey": (128, 130, 134),
    "orange": (196, 100, 48),
    "brown": (98, 68, 48),
}

FRAMES: Final[dict[str, Bytes3]] = {
    "black": (22, 20, 20),
    "brown": (74, 44, 26),
    "gold": (156, 124, 70),
    "red": (118, 26, 34),
    "blue": (54, 68, 98),
    "silver": (176, 178, 184),
}

LIPSTICKS: Final[dict[str, Bytes3]] = {
    "red": (168, 30, 44),
    "pink": (196, 82, 100),
    "berry": (126, 34, 58),
    "coral": (206, 92, 82),
    "nude": (176, 112, 96),
}

EYESHADOWS: Final[dict[str, Bytes3]] = {
    "brown": (150, 112, 96),
    "plum": (150, 104, 140),
    "blue": (112, 134, 176),
    "grey": (120, 118, 124),
    "copper": (176, 116, 82),
}


def linear(color: Bytes3) -> Rgb:
    """SRGB bytes to linear light (gamma 2.2)."""
    red, green, blue = (float((channel / 255.0) ** 2.2) for channel in color)
    return red, green, blue


def blend(a: Rgb, b: Rgb, amount: float) -> Rgb:
    """Linear interpolation from ``a`` (amount 0) to ``b`` (amount 1)."""
    red, green, blue = (float(x + (y - x) * amount) for x, y in zip(a, b, strict=True))
    return red, green, blue


def scaled(color: Rgb, *factors: float) -> Rgb:
    """Multiply by one factor or one per channel; kept within [0, 1]."""
    red, green, blue = (float(v) for v in np.clip(np.asarray(color) * np.asarray(factors), 0.0, 1.0))
    return red, green, blue


def skin_color(tone: float) -> Rgb:
    """Mean skin colour for a tone in [0, 1] (0 palest)."""
    position = min(max(tone, 0.0), 1.0) * (len(SKIN) - 1)
    index = min(int(position), len(SKIN) - 2)
    return blend(linear(SKIN[index]), linear(SKIN[index + 1]), position - index)
