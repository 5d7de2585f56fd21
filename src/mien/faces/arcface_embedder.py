"""An ArcFace network as an embedder of aligned crops: what bases of full size know people by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from mien.faces.onnx import open_recognition

ARCFACE_SIDE = 112


class ArcFaceEmbedder:
    """An ArcFace network as an ONNX file, called as the studio's `IdentityEmbedder` is.

    Args:
        path: the file.

    Attributes:
        device: where it runs; crops may be on any.

    Raises:
        BadInput: if it is no ONNX file.
        MissingDependency: without onnxruntime.
    """

    def __init__(self, path: Path) -> None:
        self.config: dict[str, Any] = {"size": ARCFACE_SIDE}
        self._run, self.device = open_recognition(path)

    def __call__(self, crops: Tensor) -> Tensor:
        """Aligned crops [B, 3, 112, 112] in [-1, 1] -> embeddings [B, 512] of L2 norm 1, on the CPU."""
        import torch

        (values,) = self._run(crops.cpu().numpy()).values()
        return torch.nn.functional.normalize(torch.from_numpy(values), dim=-1)
