"""An ArcFace network as an embedder of aligned crops: what bases of full size know people by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from mien.faces.onnx import OnnxModel

ARCFACE_SIDE = 112


class ArcFaceEmbedder:
    """An ArcFace network as an ONNX file, called as the studio's `IdentityEmbedder` is.

    Args:
        path: the file.

    Raises:
        BadInput: if it is no ONNX file.
        MissingDependency: without onnxruntime.
    """

    def __init__(self, path: Path) -> None:
        self.config: dict[str, Any] = {"size": ARCFACE_SIDE}
        self._network = OnnxModel(path)

    def __call__(self, crops: Tensor) -> Tensor:
        """Aligned crops [B, 3, 112, 112] in [-1, 1] -> embeddings [B, 512] of L2 norm 1."""
        import torch

        (values,) = self._network(crops.numpy()).values()
        return torch.nn.functional.normalize(torch.from_numpy(values), dim=-1)
