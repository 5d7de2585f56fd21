"""What a forward pass keeps for the backward pass."""

from __future__ import annotations

from typing import Any

import torch


class KeptBytes(torch.autograd.graph.saved_tensors_hooks):
    """Counts what the forward pass keeps for the backward pass, without the weights, each storage once."""

    def __init__(self, *networks: torch.nn.Module) -> None:
        self._weights = {p.untyped_storage().data_ptr() for one in networks for p in one.parameters()}
        self._kept: dict[int, tuple[int, Any]] = {}
        super().__init__(self._keep, lambda tensor: tensor)

    def _keep(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._weights:
            self._kept[storage.data_ptr()] = (storage.nbytes(), storage)  # held, so that no address comes twice
        return tensor

    @property
    def total(self) -> int:
        return sum(size for size, _ in self._kept.values())
