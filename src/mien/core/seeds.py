"""Random numbers from seeds of 64 bits."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mien.errors import BadInput

if TYPE_CHECKING:
    import torch

_WIDTH = 32
"""Bits of a seed that PyTorch's generator on the processor, a Mersenne twister, looks at: it drops the rest."""


def seeded_generator(seed: int) -> torch.Generator:
    """A generator on the processor in which every bit of the seed acts.

    Seeds below 2^32 are taken as they are. Above, PyTorch would take the low 32 bits alone, so that 2^32 + 5 would draw
    what 5 draws; there the first 32 bits of the seed's sha256 are taken.

    Args:
        seed: 0 to 2^64 - 1.

    Raises:
        BadInput: for a seed out of range.
    """
    import torch

    if not 0 <= seed < 2**64:
        raise BadInput(f"A seed must lie between 0 and 2^64 - 1, not be {seed}.")
    if seed >> _WIDTH:
        seed = int.from_bytes(hashlib.sha256(seed.to_bytes(8, "big")).digest()[: _WIDTH // 8], "big")
    return torch.Generator("cpu").manual_seed(seed)
