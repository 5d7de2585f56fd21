"""ONNX files, run by onnxruntime."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mien.core.optional import require
from mien.errors import BadInput, MissingDependency
from mien.faces.graph import whole_file

log = logging.getLogger(__name__)
_CUDA = "CUDAExecutionProvider"

Run = Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]
"""Batch [B, 3, S, S] -> outputs by name."""


class OnnxModel:
    """One ONNX file with a single picture as input.

    Args:
        path: the file.

    Raises:
        BadInput: if it is no ONNX file.
        MissingDependency: without onnxruntime.
    """

    def __init__(self, path: Path) -> None:
        runtime = require("onnxruntime", extra="eval")
        there = runtime.get_available_providers()
        self._path = path
        with whole_file(path, "an ONNX file"):
            self.session = runtime.InferenceSession(
                str(path), providers=[name for name in (_CUDA, "CPUExecutionProvider") if name in there]
            )
            self.input = self.session.get_inputs()[0]
            self.outputs = [output.name for output in self.session.get_outputs()]
        if spare_gpu(runtime) is not None:
            _tell_of_cpu(path.name)

    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name for a batch [B, 3, S, S]; files with a fixed batch of 1 are run row by row."""
        with whole_file(self._path, "an ONNX file"):
            fixed = self.input.shape[0] == 1
            parts = [batch[row : row + 1] for row in range(len(batch))] if fixed else [batch]
            outputs = [self.session.run(self.outputs, {self.input.name: part}) for part in parts]
        return {name: np.concatenate([one[k] for one in outputs]) for k, name in enumerate(self.outputs)}


def spare_gpu(runtime: Any) -> str | None:
    """The device that PyTorch has and ``onnxruntime`` cannot use; None where there is none."""
    return "cuda" if torch.cuda.is_available() and _CUDA not in runtime.get_available_providers() else None


def open_recognition(path: Path) -> tuple[Run, str]:
    """What runs a face recognition network, and on which device: PyTorch on a GPU that ONNX Runtime cannot use.

    Raises:
        BadInput: if it is no ONNX file.
        MissingDependency: without onnxruntime.
    """
    from mien.faces.torch_onnx import TorchOnnxModel

    device = spare_gpu(require("onnxruntime", extra="eval"))
    if device is not None:
        try:
            return TorchOnnxModel(path, device), device
        except (BadInput, MissingDependency) as error:
            log.info("%s stays on the CPU: %s", path, error)
    return OnnxModel(path), "cpu"


@cache
def _tell_of_cpu(name: str) -> None:
    """Once for each file."""
    log.warning(
        "ONNX Runtime has no CUDA here, so %s runs on the CPU: install onnxruntime-gpu in the place of onnxruntime.",
        name,
    )
