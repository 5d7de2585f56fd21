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


class DistanceBias(NamedTuple):
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
        return -0.5 * sharpness[:, None, None] ** 2 * _squared_distances(size, self.tokens, sharpness.device)


@lru_cache(maxsize=64)  # on the device too: a copy at every call would make a GPU wait
def _squared_distances(size: tuple[int, int], side: int, device: torch.device) -> Tensor:
    """[h w, side^2]: squared distances of cell centres, the picture's sides being 1."""

    def centres(h: int, w: int) -> Tensor:
        y, x = (torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w
        return torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flatten(0, 1)

    return (centres(*size)[:, None] - centres(side, side)[None]).pow(2).sum(-1).to(device)


class BranchTerm(NamedTuple):
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

    Example:
        >>> import torch
        >>> from mien.adapters import BranchTerm
        >>> block = "mid_block/attentions/0/transformer_blocks/0/attn2"
        >>> keys = {block: torch.zeros(2, 4, 32)}
        >>> term = BranchTerm("emotion", keys, keys, scale=torch.ones(2))
        >>> term.part(slice(0, 1)).keys[block].shape
        torch.Size([1, 4, 32])
    """

    name: str
    keys: dict[str, Tensor]
    values: dict[str, Tensor]
    scale: Tensor
    rows: Tensor | None = None
    active: Tensor | None = None
    regions: dict[int, Tensor] | None = None
    places: DistanceBias | None = None
    steps: tuple[float, float] = (0.0, 1.0)

    def part(self, span: slice) -> BranchTerm | None:
        """The term of a call that has these rows of the batch alone, or None where none of them takes part."""
        first, last = span.start, span.stop
        if self.rows is None:
            own, rows = span, None
        else:
            inside = (self.rows >= first) & (self.rows < last)
            taken = inside.nonzero()[:, 0].tolist()
            if not taken:
                return None
            own = slice(taken[0], taken[-1] + 1)  # rows are in ascending order
            rows = None if len(taken) == last - first else self.rows[own] - first
        regions = None if self.regions is None else {size: mask[own] for size, mask in self.regions.items()}
        return self._replace(
            keys={key: value[own] for key, value in self.keys.items()},
            values={key: value[own] for key, value in self.values.items()},
            scale=self.scale[own],
            rows=rows,
            active=None if self.active is None else self.active[own],
            regions=regions,
        )


class BaseKeys(NamedTuple):
    """Keys and values of the base's own text, which do not change over the denoising steps either.

    Attributes:
        keys: block key -> K [T, L, hidden] of the distinct texts.
        values: block key -> V [T, L, hidden].
        rows: which text each row of the batch has, int64 [batch]; None when row i has text i.
    """

    keys: dict[str, Tensor]
    values: dict[str, Tensor]
    rows: Tensor | None = None

    def of(self, block: str) -> tuple[Tensor, Tensor]:
        """K and V of every row of the batch, each [batch, L, hidden]."""
        key, value = self.keys[block], self.values[block]
        return (key, value) if self.rows is None else (key.index_select(0, self.rows), value.index_select(0, self.rows))

    def part(self, span: slice) -> BaseKeys:
        """Those of a call that has these rows of the batch alone."""
        rows = torch.arange(span.start, span.stop) if self.rows is None else self.rows[span].cpu()
        texts, rows = rows.unique(return_inverse=True)
        device = next(iter(self.keys.values())).device
        texts, rows = texts.to(device), rows.to(device)
        keys = {key: value.index_select(0, texts) for key, value in self.keys.items()}
        values = {key: value.index_select(0, texts) for key, value in self.values.items()}
        return BaseKeys(keys, values, None if len(texts) == len(rows) else rows)


class Tap(NamedTuple):
    """Attention outputs of one block before ``to_out``, for losses on them (FaceCrafter Eq. 2).

    Attributes:
        base: the base attention alone [B, S, hidden].
        terms: branch name -> s_b Attn_b [B, S, hidden], zero in rows that take no part.
        total: their sum, the block's whole output before ``to_out`` [B, S, hidden].
        grid: (h, w) with h w = S.

    Example:
        >>> import torch
        >>> from mien.adapters import Tap
        >>> base, added = torch.zeros(1, 16, 8), torch.ones(1, 16, 8)
        >>> tap = Tap(base, {"emotion": added}, base + added, grid=(4, 4))
        >>> bool((tap.total - tap.base == tap.terms["emotion"]).all())
        True
    """

    base: Tensor
    terms: dict[str, Tensor]
    total: Tensor
    grid: tuple[int, int]


class BranchPlan(NamedTuple):
    """All branches of one UNet call.

    Attributes:
        terms: the branches that take part, in the order of injection.
        batch: rows of the UNet call; 0 without any term.
        grid: (h, w) of the latent, from which each block's grid follows.
        taps: block key -> :class:`Tap`, filled by the call; None when nothing is recorded. Gradient checkpointing
            runs a block twice: the second run overwrites, it never appends.
        text: keys and values of the base's text, for ``batch`` rows; None when each call computes them.

    Example:
        >>> from mien.adapters import BranchPlan
        >>> BranchPlan(terms=(), batch=0, grid=(8, 8)).terms
        ()
    """

    terms: tuple[BranchTerm, ...]
    batch: int
    grid: tuple[int, int]
    taps: dict[str, Tap] | None = None
    text: BaseKeys | None = None

    def at(self, progress: float) -> BranchPlan:
        """The plan at a fraction of the sampling (0 = first step, 1 = last): branches out of range are dropped."""
        terms = tuple(term for term in self.terms if term.steps[0] <= progress <= term.steps[1])
        return self if len(terms) == len(self.terms) else self._replace(terms=terms)

    def part(self, span: slice) -> BranchPlan:
        """The plan of a call that has these rows of the batch alone, such as one evaluation of all pictures."""
        terms = tuple(term for whole in self.terms if (term := whole.part(span)) is not None)
        text = None if self.text is None else self.text.part(span)
        return self._replace(terms=terms, batch=span.stop - span.start, text=text)


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


def scatter_rows(part: Tensor, rows: Tensor | None, batch: int) -> Tensor:
    """Put [R, ...] into the rows of a zero tensor [batch, ...]; itself when ``rows`` is None."""
    if rows is None:
        return part
    return torch.zeros(batch, *part.shape[1:], dtype=part.dtype, device=part.device).index_copy(0, rows, part)
