"""A direction in identity space along which faces read as more feminine (+) or more masculine (-)."""

from __future__ import annotations

from typing import Final

# Unit vector over the kit's first 60 identity coefficients. *Inferred*: the sum of the (normalised) gradients of jaw
# and chin width, height of the lower face, brow ridge, nose and neck width (masculine), minus brow height, eye opening
# and lip height (feminine), each measured on the kit's 68 landmarks; sign flipped so that + is feminine.
FEMININE: Final[tuple[float, ...]] = (
    0.765, -0.049, -0.335, -0.168, -0.093, 0.319, 0.077, 0.081, -0.157, 0.0, 0.103, -0.066, 0.031, 0.06, -0.091,
    -0.001, 0.019, 0.009, -0.073, 0.043, 0.0, -0.081, 0.109, 0.073, 0.105, 0.001, 0.028, 0.028, 0.0, -0.052, 0.083,
    0.031, -0.073, 0.0, -0.015, 0.044, -0.07, 0.0, 0.001, -0.033, -0.057, -0.018, 0.008, 0.0, 0.035, -0.002, 0.004,
    -0.003, -0.078, 0.032, 0.028, 0.0, -0.038, 0.0, 0.04, -0.032, -0.052, -0.022, 0.001, 0.002,
)  # fmt: skip
