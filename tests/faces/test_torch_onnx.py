"""ONNX networks as torch modules: what onnxruntime computes, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mien.errors import BadInput
from mien.faces.torch_onnx import onnx_graph, picture_side

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


def mobile(path: Path) -> Path:
    """Depthwise convolutions, asymmetric pads, a computed shape, an embedding of length 1."""
    w = Writer()
    x = w("Relu", w.conv("data", 3, 8, strides=[2, 2]))
    x = w("Clip", w.conv(x, 8, 8, group=8), w.constant(np.array(0, np.float32)), w.constant(np.array(6, np.float32)))
    x = w("Conv", x, w.weight(4, 8, 2, 2), pads=[1, 0, 0, 1], kernel_shape=[2, 2], dilations=[1, 1])
    x = w("MaxPool", x, kernel_shape=[3, 3], strides=[4, 4], pads=[1, 1, 1, 1])
    x = w("LeakyRelu", w("Sub", x, w.weight(1, 4, 1, 1)), alpha=0.2)
    batch = w("Gather", w("Shape", x), w.constant(np.array(0, np.int64)), axis=0)
    whole = w("Unsqueeze", batch, w.constant(np.array([0], np.int64)))
    x = w("Reshape", x, w("Concat", whole, w.constant(np.array([-1], np.int64)), axis=0))
    x = w("MatMul", x, w.weight(4 * 14 * 14, 512))
    return w.save(path, w("Div", x, w("ReduceL2", x, axes=[1], keepdims=1)))


def fixed(path: Path) -> Path:
    """A file for one picture: its batch of 1 stands in the reshape; channels last, then a mean and a sigmoid."""
    w = Writer()
    x = w("Sigmoid", w.conv("data", 3, 16, 7, strides=[8, 8]))
    x = w("Reshape", w("Transpose", x, perm=[0, 2, 3, 1]), w.constant(np.array([1, 14 * 14, 16], np.int64)))
    x = w("Squeeze", w("ReduceMean", x, axes=[1], keepdims=1), w.constant(np.array([1], np.int64)))
    x = w("Mul", w("Neg", w("Sqrt", x)), w.constant(np.array(2, np.float32)))
    return w.save(path, w("MatMul", x, w.weight(16, 512)), batch=1)


@pytest.mark.parametrize("write", [iresnet, mobile, fixed])
def test_it_is_what_onnxruntime_computes(write: Callable[[Path], Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'mien[eval]'")
    from mien.faces.onnx import OnnxModel

    path = write(tmp_path / "net.onnx")
    pictures = np.random.default_rng(1).uniform(-1, 1, (3, 3, 112, 112)).astype(np.float32)
    (expected,) = OnnxModel(path)(pictures).values()
    network = onnx_graph(path)
    (found,) = network(torch.from_numpy(pictures)).values()
    assert np.abs(expected).std() > 1e-3 and np.abs(expected[0] - expected[1]).max() > 1e-3  # it looks at the picture
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-4, rtol=1e-4)
    assert picture_side(path, 0) == 112
    assert list(network.parameters()) == [] and list(network.state_dict()) == []


def test_gradients_reach_the_pixels_and_are_those_of_finite_differences(tmp_path: Path) -> None:
    network = onnx_graph(iresnet(tmp_path / "net.onnx", 32)).double()
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(2, 3, 32, 32, generator=generator, dtype=torch.float64, requires_grad=True)
    towards = torch.randn(pictures.shape, generator=generator, dtype=torch.float64)
    weights = torch.randn(2, 512, generator=generator, dtype=torch.float64)

    def value(x: torch.Tensor) -> torch.Tensor:
        return (next(iter(network(x).values())).reshape(2, 512) * weights).sum()

    value(pictures).backward()
    assert pictures.grad is not None and (pictures.grad != 0).double().mean() > 0.99
    step = 1e-6
    numeric = (value(pictures + step * towards) - value(pictures - step * towards)) / (2 * step)
    torch.testing.assert_close((pictures.grad * towards).sum(), numeric, rtol=1e-5, atol=1e-5)


def test_samples_do_not_see_each_other(tmp_path: Path) -> None:
    network = onnx_graph(iresnet(tmp_path / "net.onnx"))
    pictures = torch.randn(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    (whole,) = network(pictures).values()
    (alone,) = network(pictures[1:2]).values()
    torch.testing.assert_close(whole[1:2], alone, rtol=1e-4, atol=1e-5)


def test_autocast_does_not_reach_it(tmp_path: Path) -> None:
    network = onnx_graph(iresnet(tmp_path / "net.onnx"))
    pictures = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        (within,) = network(pictures.bfloat16()).values()
    (outside,) = network(pictures.bfloat16().float()).values()
    assert torch.equal(within, outside)


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    w = Writer()
    path = w.save(tmp_path / "vit.onnx", w("Erf", "data"))
    with pytest.raises(BadInput, match="operation Erf, which is not known here; known are Add"):
        onnx_graph(path)
    w = Writer()
    path = w.save(tmp_path / "same.onnx", w("Conv", "data", w.weight(4, 3, 2, 2), auto_pad="SAME_UPPER"))
    with pytest.raises(BadInput, match="SAME_UPPER is not known"):
        onnx_graph(path)(torch.zeros(1, 3, 8, 8))
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(BadInput, match="cannot be read as an ONNX file"):
        onnx_graph(tmp_path / "broken.onnx")
