"""Attention disentanglement between replicas of one sample under different conditions (FaceCrafter Eq. 2-3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.adapters.plan import Tap, resize_masks

SETTINGS: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset({"landmarks"}),
    frozenset({"emotion"}),
    frozenset({"landmarks", "emotion"}),
)
"""What a replica has beside the identity: ID, ID + LMK, ID + EMO, ID + LMK + EMO."""

PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3))
"""The five pairs of settings of Eq. 3; the sixth, (2, 3), is not in the paper."""

Reading = Literal["summed", "per_branch"]


class RowPairs(NamedTuple):
    """Which rows of a UNet call are compared.

    Attributes:
        first, second: rows [P].
        weight: how many pairs of replicas each stands for [P].
        settings: their settings' numbers [P, 2].
        samples: number of samples, over which the loss is a mean.
    """

    first: Tensor
    second: Tensor
    weight: Tensor
    settings: Tensor
    samples: int


def row_pairs(settings: Tensor, samples: Tensor, counts: Tensor, pairs: Sequence[tuple[int, int]] = PAIRS) -> RowPairs:
    """C^(a, b) of Eq. 2 for all pairs (a, b): every two rows of one sample with these settings.

    Args:
        settings: number of each row's setting [R], an index into `SETTINGS`.
        samples: which sample each row shows [R].
        counts: how many replicas each row stands for [R].
        pairs: pairs of settings.
    """
    wanted = torch.zeros(len(SETTINGS), len(SETTINGS), dtype=torch.bool, device=settings.device)
    for a, b in pairs:
        wanted[a, b] = True
    same = samples[:, None] == samples[None]
    first, second = (same & wanted[settings[:, None], settings[None]]).nonzero(as_tuple=True)
    weight = (counts[first] * counts[second]).float()
    return RowPairs(first, second, weight, torch.stack([settings[first], settings[second]], 1), len(samples.unique()))


def ad_loss(
    taps: Mapping[str, Tap],
    pairs: RowPairs,
    masks: Tensor,
    reading: Reading = "summed",
    mean: bool = False,
) -> Tensor:
    """L_AD: ReLU(cos(A_i, A_j)) inside the face, over the pairs of rows, averaged over blocks.

    Inside a pair the mean over the positions of the mask is taken (*inferred*), over pairs the sum (the paper's).

    Args:
        taps: block key -> attention outputs of all rows, as a call with ``taps=True`` leaves them.
        pairs: see :func:`row_pairs`.
        masks: the face [R, H, W] in [0, 1].
        reading: ``"summed"`` takes A as the block's whole output (literal). ``"per_branch"`` (*inferred*, after the
            abstract's "orthogonal") holds what the first setting adds against what only the second adds: for
            (ID, ID + LMK) the identity's attention against the landmarks', for (ID + LMK, ID + LMK + EMO) the
            landmarks' against the emotion's.
        mean: divide by the number of pairs of replicas instead of the number of samples; then lambda is another.

    Returns:
        A scalar; 0 where no two rows are compared.
    """
    if not len(pairs.first):
        return next(iter(taps.values())).total.sum() * 0.0
    blocks = []
    grids: dict[tuple[int, int], Tensor] = {}
    for tap in taps.values():
        if tap.grid not in grids:
            grids[tap.grid] = resize_masks(masks, tap.grid)[tap.grid[0] * tap.grid[1]][pairs.first, :, 0]
        # index_select: the gradient of total[rows] is summed by threads in any order, and so differs each time
        one, other = (tap.total.index_select(0, rows) for rows in (pairs.first, pairs.second))
        if reading == "per_branch":
            one, other = _apart(tap, pairs)
        alike = F.cosine_similarity(one.float(), other.float(), dim=-1).relu()  # [P, positions]
        inside = grids[tap.grid]
        each = (alike * inside).sum(1) / inside.sum(1).clamp(min=1e-6)
        blocks.append((each * pairs.weight).sum())
    return torch.stack(blocks).mean() / (pairs.weight.sum() if mean else pairs.samples)


def _apart(tap: Tap, pairs: RowPairs) -> tuple[Tensor, Tensor]:
    """What the first row's setting adds, and what the second's adds that the first's does not; [P, positions, C]."""
    base = tap.base.index_select(0, pairs.first)
    firsts, seconds = torch.zeros_like(base), torch.zeros_like(base)
    has = torch.tensor(
        [[name in names for name in ("landmarks", "emotion")] for names in SETTINGS], device=pairs.settings.device
    )
    a, b = has[pairs.settings[:, 0]], has[pairs.settings[:, 1]]
    firsts = firsts + base * (~a.any(1))[:, None, None]
    for index, name in enumerate(("landmarks", "emotion")):
        if name in tap.terms:
            firsts = firsts + tap.terms[name].index_select(0, pairs.first) * a[:, index, None, None]
            seconds = seconds + tap.terms[name].index_select(0, pairs.second) * (b & ~a)[:, index, None, None]
    return firsts, seconds
