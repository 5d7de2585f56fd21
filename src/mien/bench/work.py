"""How much arithmetic a run is, and how many bytes it moves at least."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

T = TypeVar("T")


def _attention_flop(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    return sdpa_flop_count(query, key, value)


# What attention is on a CPU; torch's own table has only the kernels of GPUs.
_FURTHER = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop}


class BytesMode(TorchDispatchMode):
    """Counts the bytes that products, convolutions and attentions read and write: what no cache can spare a first time.

    Args:
        counted: the operations whose bytes are.

    Attributes:
        total: bytes so far.
    """

    def __init__(self, counted: Container[object]) -> None:
        super().__init__()
        self.counted = counted
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and count it if it is one of those to be counted."""
        found = func(*args, **(kwargs or {}))
        if func._overloadpacket in self.counted:
            for leaf in tree_leaves((args, kwargs, found)):
                if isinstance(leaf, Tensor):
                    self.total += leaf.numel() * leaf.element_size()
        return found


def work(run: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """What a run gives, and its billions of floating-point operations and of bytes; it takes longer than usual.

    Products, convolutions and attentions are counted (a multiplication and an addition are two operations); all else in
    a diffusion model is small beside them.
    """
    flops = FlopCounterMode(display=False, custom_mapping=_FURTHER)
    moved = BytesMode(flops.flop_registry)
    with flops, moved:
        found = run()
    return found, {"gflop": round(flops.get_total_flops() / 1e9, 3), "gigabytes": round(moved.total / 1e9, 4)}


def against(limits: dict[str, float], done: dict[str, float], seconds: float) -> dict[str, float]:
    """How long the work takes at the machine's best, and what share of the time measured that is.

    Args:
        limits: of `mien.bench.machine.limits`.
        done: of :func:`work`.
        seconds: measured.
    """
    least = max(done["gflop"] / limits["gflops"], done["gigabytes"] / limits["gigabytes"])
    return done | {"seconds_at_limit": float(f"{least:.4g}"), "share_of_limit": round(least / seconds, 3)}
