"""How much arithmetic a run is, and how many bytes it moves at least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

T = TypeVar("T")


class BytesMode(TorchDispatchMode):
    """Counts the bytes that products, convolutions and attentions read and write: what no cache can spare a first time.

    Attributes:
        total: bytes so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and count it if it is one of those whose arithmetic is counted."""
        found = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            for leaf in tree_leaves((args, kwargs, found)):
                if isinstance(leaf, Tensor):
                    self.total += leaf.numel() * leaf.element_size()
        return found


def work(run: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """What a run gives, and its billions of floating-point operations and of bytes; it takes longer than usual.

    Products, convolutions and attentions are counted (a multiplication and an addition are two operations); all else in
    a diffusion model is small beside them.
    """
    flops, moved = FlopCounterMode(display=False), BytesMode()
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
