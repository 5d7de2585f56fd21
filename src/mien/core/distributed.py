"""Object all-gather for training and evaluation under ``torchrun``."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def gather_objects(value: T) -> list[T]:
    """The value of every process, in their order; a list of one where there is one process."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    found: list[T] = [value] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return found
