"""ONNX files, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.core.optional import require
from mien.faces.graph import whole_file


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
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider")
                     if name in runtime.get_available_providers()]  # fmt: skip
        self._path = path
        with whole_file(path, "an ONNX file"):
            self.session = runtime.InferenceSession(str(path), providers=providers)
            self.input = self.session.get_inputs()[0]
            self.outputs = [output.name for output in self.session.get_outputs()]

    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name for a batch [B, 3, S, S]; files with a fixed batch of 1 are run row by row."""
        with whole_file(self._path, "an ONNX file"):
            fixed = self.input.shape[0] == 1
            parts = [batch[row : row + 1] for row in range(len(batch))] if fixed else [batch]
            outputs = [self.session.run(self.outputs, {self.input.name: part}) for part in parts]
        return {name: np.concatenate([one[k] for one in outputs]) for k, name in enumerate(self.outputs)}
