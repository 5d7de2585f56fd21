"""Weights of others that are published as PyTorch files."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from mien.errors import BadInput


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a .pth file by name; read with torch's restricted reader, which runs no code of the file.

    Raises:
        BadInput: if it holds anything but tensors, or is broken.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BadInput(f"{path} is not a file of weights that can be read safely: get it again.") from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise BadInput(f"{path} holds something else than tensors by name: get it again.")
    return found
