"""Small networks in the layouts in which those that read faces and compare pictures are published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

OUTPUTS = {
    "arcface": {"683": 512}, "auraface": {"683": 512}, "emotieff": {"output": 10},
    "emonet": {"expression": 8, "valence": 1, "arousal": 1}, "smirk": {"expression_params": 50, "pose_params": 3},
    "emoca": {"expcode": 50, "posecode": 6},
}  # fmt: skip
"""Network -> its outputs and their widths."""


def onnx_file(path: Path, size: int, outputs: dict[str, int], batch: int | str = "N") -> Path:
    """Means of the channels, repeated: [B, 3, S, S] -> [B, width] for each output."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'mien[test]'")
    from onnx import TensorProto, helper, numpy_helper

    kind = TensorProto.FLOAT
    nodes: list[Any] = [helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0)]
    constants = [numpy_helper.from_array(np.array([2, 3], np.int64), "axes")]
    for name, width in outputs.items():
        weights = (np.arange(3 * width, dtype=np.float32).reshape(3, width) + 1) / (3 * width)
        constants.append(numpy_helper.from_array(weights, f"w_{name}"))
        nodes.append(helper.make_node("MatMul", ["m", f"w_{name}"], [name]))
    graph = helper.make_graph(
        nodes, "means", [helper.make_tensor_value_info("x", kind, [batch, 3, size, size])],
        [helper.make_tensor_value_info(name, kind, [batch, width]) for name, width in outputs.items()], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


class Means(torch.nn.Module):
    """What NVIDIA's Inception does, as far as it is called: pictures of 0..255 and ``return_features``."""

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        means = img.mean(dim=(2, 3))
        return means.repeat(1, 683)[:, :2048] if return_features else means
