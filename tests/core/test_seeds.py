"""Seeds: every bit acts, and small ones draw what they always drew."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mien.core.seeds import seeded_generator
from mien.errors import BadInput


def drawn(seed: int) -> Tensor:
    return torch.randn(16, generator=seeded_generator(seed))


@pytest.mark.parametrize("seed", [0, 5, 2**31, 2**32 - 1])
def test_seeds_of_32_bits_are_pytorchs_own(seed: int) -> None:
    assert torch.equal(drawn(seed), torch.randn(16, generator=torch.Generator().manual_seed(seed)))


def test_every_bit_acts() -> None:
    assert torch.equal(
        torch.randn(1, generator=torch.Generator().manual_seed(2**32 + 5)),
        torch.randn(1, generator=torch.Generator().manual_seed(5)),
    ), "PyTorch takes the low 32 bits alone; once it takes all, seeded_generator has nothing to do"
    seeds = [5, *[5 + 2**bit for bit in range(3, 64)]]
    assert len({tuple(drawn(seed).tolist()) for seed in seeds}) == len(seeds)
    assert torch.equal(drawn(2**40 + 7), drawn(2**40 + 7))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_what_is_no_seed_is_refused(seed: int) -> None:
    with pytest.raises(BadInput, match="A seed must lie between"):
        seeded_generator(seed)
