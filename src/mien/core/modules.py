"""Moving networks, with their types kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import nn

M = TypeVar("M", bound="nn.Module")


def placed(module: M, **where: Any) -> M:
    """A network, moved in place by ``module.to(**where)``: diffusers and transformers wrap that so that it has no type.

    Args:
        module: any.
        where: ``device``, ``dtype`` or ``memory_format``.
    """
    moved: Any = module
    return moved.to(**where)
