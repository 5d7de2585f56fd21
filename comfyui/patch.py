"""The attention of one block while branches are applied: base + sum_b s_b Attn(Q, K_b, V_b) (FaceCrafter Eq. 1).

Everything here is fixed when the patch is made; which rows of a call have the condition is read from the call itself
(``cond_or_uncond``), so any sampler, batch size or order of evaluations works.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mien.adapters.attention import branch_output
from mien.adapters.plan import BranchTerm, DistanceBias, resize_masks

PRESENT = "mien_present"
"""In ``transformer_options``: the kinds of condition that a call has; all when it is absent."""

Attend = Callable[[Tensor, Tensor, Tensor, Mapping[str, Any]], Tensor]


@dataclass(frozen=True, eq=False)
class AppliedBranch:
    """A branch with its condition.

    Attributes:
        kind: what it reads.
        keys: block key -> [P, N, hidden], of P pictures; a last row more where ``has_null``.
        values: likewise.
        has_null: whether the last row is the branch's null, which rows without the condition get.
        scale: s_b.
        sigmas: (largest, smallest) noise level at which it acts.
        sharpness: of a local branch (`mien.adapters.branch.Branch`), else None.
        tokens: side of a local branch's grid of tokens.
        mask: region [1, H, W] in [0, 1] in which it acts, or None.
    """

    kind: str
    keys: Mapping[str, Tensor]
    values: Mapping[str, Tensor]
    has_null: bool
    scale: float
    sigmas: tuple[float, float]
    sharpness: dict[str, Tensor] | None = None
    tokens: int = 0
    mask: Tensor | None = None
    _there: dict[tuple[str, torch.device], tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    def __deepcopy__(self, memo: Any) -> AppliedBranch:
        """Itself: nothing here changes, and ComfyUI copies the options of a model at every node."""
        return self

    def term(self, block: str, here: Sequence[bool], pictures: int, like: Tensor, options: Mapping[str, Any]) -> Any:
        """This branch's term in a call, or None where it takes no part.

        Args:
            block: the block's key.
            here: for each row of the call whether it has the condition.
            pictures: rows of each evaluation in the call.
            like: the queries, for device.
            options: the call's ``transformer_options``.
        """
        sigma = float(options["sigmas"].flatten()[0]) if "sigmas" in options else self.sigmas[0]
        if block not in self.keys or self.scale == 0 or not self.sigmas[1] <= sigma <= self.sigmas[0]:
            return None
        present: Collection[str] | None = options.get(PRESENT)
        if present is not None and self.kind not in present:
            here = [False] * len(here)
        rows = [row for row in range(len(here)) if here[row] or self.has_null]
        if not rows:
            return None
        count = len(self.keys[block]) - int(self.has_null)
        source = torch.tensor([row % pictures % count if here[row] else count for row in rows], device=like.device)
        key, value = self._on(block, like.device)
        grid = tuple(options["original_shape"][-2:]) if "original_shape" in options else (0, 0)
        return BranchTerm(
            name=self.kind,
            keys={block: key.index_select(0, source)},
            values={block: value.index_select(0, source)},
            scale=torch.full((len(rows),), self.scale, device=like.device),
            rows=None if len(rows) == len(here) else torch.tensor(rows, device=like.device),
            regions=None if self.mask is None else _regions(self.mask.to(like.device), grid, len(rows)),
            places=None if self.sharpness is None else DistanceBias(self._sharpness(like.device), self.tokens, grid),
        )

    def _on(self, block: str, device: torch.device) -> tuple[Tensor, Tensor]:
        """Keys and values of a block on a device; copied there once."""
        if (block, device) not in self._there:
            self._there[block, device] = self.keys[block].to(device), self.values[block].to(device)
        return self._there[block, device]

    def _sharpness(self, device: torch.device) -> dict[str, Tensor]:
        return {block: value.to(device) for block, value in (self.sharpness or {}).items()}


def _regions(mask: Tensor, grid: tuple[int, int], rows: int) -> dict[int, Tensor]:
    return {positions: one.expand(rows, -1, -1) for positions, one in resize_masks(mask, grid).items()}


@dataclass(frozen=True)
class _Layer:
    """What `branch_output` asks of an attention layer."""

    heads: int
    norm_q: None = None
    norm_k: None = None


@dataclass(frozen=True, eq=False)
class BlockAttention:
    """A replacement for one attention of a ComfyUI model.

    Attributes:
        block: the block's key, as branches name it.
        below: what computed this attention before; it is called, and the branches are added.
        branches: what is added.
    """

    block: str
    below: Attend
    branches: tuple[AppliedBranch, ...]

    def __deepcopy__(self, memo: Any) -> BlockAttention:
        """Itself, see `AppliedBranch`."""
        return self

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, options: Mapping[str, Any]) -> Tensor:
        """[B, S, hidden], before the output projection.

        Args:
            query: [B, S, hidden].
            key: of the base [B, L, hidden].
            value: of the base [B, L, hidden].
            options: the call's ``transformer_options``, with ``n_heads``.
        """
        out = self.below(query, key, value, options)
        evaluations = options.get("cond_or_uncond") or [0]
        pictures = len(query) // len(evaluations)
        here = [evaluation == 0 for evaluation in evaluations for _ in range(pictures)]
        layer: Any = _Layer(options["n_heads"])
        for branch in self.branches:
            term = branch.term(self.block, here, pictures, query, options)
            if term is None:
                continue
            part = branch_output(layer, query, term, self.block, explicit=False).to(out.dtype)
            out = out + part if term.rows is None else out.index_add(0, term.rows, part)
        return out
