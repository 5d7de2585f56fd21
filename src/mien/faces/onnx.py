"""ONNX files, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.core.optional import require
from mien.errors import BadInput


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
        try:
            self.session = runtime.InferenceSession(str(path), providers=providers)
        except Exception as error:  # onnxruntime's own errors have no common base
            raise BadInput(f"{path} cannot be read as an ONNX file: get it again  (mien assets verify).") from error
        self.input = self.session.get_inputs()[0]
        self.outputs = [output.name for output in self.session.get_outputs()]

    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name for a batch [B, 3, S, S]; files with a fixed batch of 1 are run row by row."""
        fixed = self.input.shape[0] == 1
        parts = [batch[row : row + 1] for row in range(len(batch))] if fixed else [batch]
        outputs = [self.session.run(self.outputs, {self.input.name: part}) for part in parts]
        return {name: np.concatenate([one[k] for one in outputs]) for k, name in enumerate(self.outputs)}
