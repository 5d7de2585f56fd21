"""What travels to the attention layers: one plain structure, in ``cross_attention_kwargs={"mien": plan}``.

Nothing here lives on a processor: no stale caches between pictures, no recompilation for a new picture.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.errors import BadInput


class Places(NamedTuple):
    """Where the tokens of a local branch lie, and how sharply each head looks at them.

    Attributes:
        sharpness: block key -> g [heads].
        tokens: side of the tokens' square grid.
        grid: (h, w) of the latent, from which each block's grid follows.
    """

    sharpness: dict[str, Tensor]
    tokens: int
    grid: tuple[int, int]

    def bias(self, block: str, positions: int) -> Tensor:
        """-(g d)^2 / 2, [heads, positions, N], d in sides of the picture.

        Raises:
            BadInput: if the latent's grid has no level of that many positions.
        """
        size = block_grids(self.grid).get(positions)
        if size is None:
            raise BadInput(f"The grid {self.grid} does not fit the block {block}: give the latent's height and width.")
        sharpness = self.sharpness[block].float()
        return -0.5 * sharpness[:, None, None] ** 2 * _squared_distances(size, self.tokens).to(sharpness.device)


@lru_cache(maxsize=64)
def _squared_distances(size: tuple[int, int], side: int) -> Tensor:
    """[h w, side^2]: squared distances of cell centres, the picture's sides being 1."""

    def centres(h: int, w: int) -> Tensor:
        y, x = (torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w
        return torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flatten(0, 1)

    return (centres(*size)[:, None] - centres(side, side)[None]).pow(2).sum(-1)


class Term(NamedTuple):
    """One branch's part of one UNet call (one summand of FaceCrafter Eq. 1).

    Attributes:
        name: the branch's name.
        keys: block key -> K_b [R, N, hidden]; a block that is absent does not take part.
        values: block key -> V_b [R, N, hidden].
        scale: s_b [R], float32.
        rows: the R rows of the batch that take part, int64 [R]; None when all do (then R is the batch).
        active: [R] bool with static shapes, where rows of scale 0 are kept and masked; None when all R take part.
        regions: number of positions of a grid -> region mask [R, positions, 1]; None without a mask.
        places: of a local branch, where its scores fall with the distance.
        steps: first and last fraction of the sampling at which the branch takes part, 0 <= start < end <= 1.
    """

    name: str
    keys: dict[str, Tensor]
    values: dict[str, Tensor]
    scale: Tensor
    rows: Tensor | None = None
    active: Tensor | None = None
    regions: dict[int, Tensor] | None = None
    places: Places | None = None
    steps: tuple[float, float] = (0.0, 1.0)


class Tap(NamedTuple):
    """Attention outputs of one block before ``to_out``, for losses on them (FaceCrafter Eq. 2).

    Attributes:
        base: the base attention alone [B, S, hidden].
        terms: branch name -> s_b Attn_b [B, S, hidden], zero in rows that take no part.
        total: their sum, the block's whole output before ``to_out`` [B, S, hidden].
        grid: (h, w) with h w = S.
    """

    base: Tensor
    terms: dict[str, Tensor]
    total: Tensor
    grid: tuple[int, int]


class Plan(NamedTuple):
    """All branches of one UNet call.

    Attributes:
        terms: the branches that take part, in the order of injection.
        batch: rows of the UNet call; 0 without any term.
        grid: (h, w) of the latent, from which each block's grid follows.
        taps: block key -> :class:`Tap`, filled by the call; None when nothing is recorded. Gradient checkpointing
            runs a block twice: the second run overwrites, it never appends.
    """

    terms: tuple[Term, ...]
    batch: int
    grid: tuple[int, int]
    taps: dict[str, Tap] | None = None

    def at(self, progress: float) -> Plan:
        """The plan at a fraction of the sampling (0 = first step, 1 = last): branches out of range are dropped."""
        terms = tuple(term for term in self.terms if term.steps[0] <= progress <= term.steps[1])
        return self if len(terms) == len(self.terms) else self._replace(terms=terms)


def block_grids(grid: tuple[int, int]) -> dict[int, tuple[int, int]]:
    """Grids a UNet can have below a latent of ``grid`` = (h, w): number of positions -> (h, w).

    Each downsampling of an SD-like UNet (3x3, stride 2, padding 1) gives ceil(h / 2) x ceil(w / 2).
    """
    h, w = grid
    grids = {h * w: (h, w)}
    while h * w > 1:
        h, w = (h + 1) // 2, (w + 1) // 2
        grids[h * w] = (h, w)
    return grids


def resize_masks(masks: Tensor, grid: tuple[int, int]) -> dict[int, Tensor]:
    """Region masks for every grid of a UNet.

    Args:
        masks: [R, H, W] in [0, 1], of the whole picture (any H, W).
        grid: (h, w) of the latent.

    Returns:
        number of positions S of a grid -> [R, S, 1], area-averaged.
    """
    small = {
        positions: F.interpolate(masks[:, None].float(), size=size, mode="area")
        for positions, size in block_grids(grid).items()
    }
    return {positions: mask.flatten(2).transpose(1, 2) for positions, mask in small.items()}


def spread(part: Tensor, rows: Tensor | None, batch: int) -> Tensor:
    """Put [R, ...] into the rows of a zero tensor [batch, ...]; itself when ``rows`` is None."""
    if rows is None:
        return part
    return torch.zeros(batch, *part.shape[1:], dtype=part.dtype, device=part.device).index_copy(0, rows, part)
