"""Small random face recognition networks as ONNX files, in the published layout: [B, 3, 112, 112] to [B, 512]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'mien[heads]'")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


class Writer:
    """A network in the making; random weights."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[Any] = []
        self.weights: dict[str, np.ndarray] = {}

    def weight(self, *shape: int, positive: bool = False) -> str:
        values = (
            self.rng.uniform(0.5, 1.5, shape) if positive else self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        )
        return self.constant(values.astype(np.float32))

    def constant(self, values: np.ndarray) -> str:
        name = f"some.weight.{len(self.weights)}"
        self.weights[name] = values
        return name

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"value/{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, inputs: int, outputs: int, side: int = 3, **attributes: Any) -> str:
        grouped = inputs // attributes.get("group", 1)
        weight = self.weight(outputs, grouped, side, side)
        pads = [side // 2] * 4
        return self("Conv", x, weight, self.weight(outputs), pads=pads, kernel_shape=[side, side], **attributes)

    def norm(self, x: str, channels: int) -> str:
        parts = [self.weight(channels, positive=True), self.weight(channels), self.weight(channels)]
        return self("BatchNormalization", x, *parts, self.weight(channels, positive=True), epsilon=2e-5)

    def prelu(self, x: str, channels: int) -> str:
        return self("PRelu", x, self.weight(channels, 1, 1, positive=True))

    def save(self, path: Path, last: str, side: int = 112, batch: Any = "N", outputs: int = 512) -> Path:
        self.nodes.append(helper.make_node("Identity", [last], ["embedding"]))
        graph = helper.make_graph(
            self.nodes, "network",
            [helper.make_tensor_value_info("data", TensorProto.FLOAT, [batch, 3, side, side])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, outputs])],
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, path)
        return path


def iresnet(path: Path, side: int = 112) -> Path:
    """InsightFace's layout: pre-activated residual blocks, dropout, a matrix, and a last normalisation."""
    w = Writer()
    x = w.prelu(w.norm(w.conv("data", 3, 4), 4), 4)
    for inputs, outputs in ((4, 8), (8, 8)):
        y = w.prelu(w.conv(w.norm(x, inputs), inputs, outputs), outputs)
        y = w.norm(w.conv(y, outputs, outputs, strides=[2, 2]), outputs)
        short = w.norm(w.conv(x, inputs, outputs, 1, strides=[2, 2]), outputs)
        x = w("Add", y, short)
    x = w("Dropout", w("Flatten", w("AveragePool", w.norm(x, 8), kernel_shape=[4, 4], strides=[4, 4]), axis=1))
    length = 8 * (side // 16) ** 2
    return w.save(path, w.norm(w("Gemm", x, w.weight(512, length), w.weight(512), transB=1), 512), side)
