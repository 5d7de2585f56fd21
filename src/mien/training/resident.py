"""Arrays from which batches are drawn, kept where the batches are wanted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SHARE = 0.25
"""Of a GPU's free memory, what one array may take."""


class Resident:
    """Rows of an array as tensors on a device: from the device's own memory if the array fits there, else copied.

    A small model on a GPU would spend its time waiting for batches that are gathered and copied by one processor.

    Args:
        values: array [N, ...].
        device: where rows are wanted.
    """

    def __init__(self, values: np.ndarray, device: torch.device) -> None:
        self._values, self._device = torch.from_numpy(values), device
        if device.type == "cuda" and values.nbytes < SHARE * torch.cuda.mem_get_info(device)[0]:
            self._values = self._values.to(device)

    def __getitem__(self, rows: np.ndarray) -> Tensor:
        """Rows [B, ...] on the device."""
        return self._values[torch.from_numpy(rows).to(self._values.device)].to(self._device)
