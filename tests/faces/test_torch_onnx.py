"""ONNX networks as torch modules: what onnxruntime computes, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.errors import BadInput
from mien.faces.torch_onnx import onnx_graph, picture_side
from tests.arcface import Writer, iresnet


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


@pytest.mark.parametrize("read", [onnx_graph, lambda path: picture_side(path, 112)])
def test_a_damaged_file_is_one_sentence(read: Callable[[Path], object], tmp_path: Path) -> None:
    """The libraries' own errors came through: protobuf's, a KeyError of an input that nothing makes."""
    whole = iresnet(tmp_path / "whole.onnx", 32).read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(BadInput, match=r"cut.onnx cannot be read as an ONNX file: get it again"):
        read(tmp_path / "cut.onnx")


def test_operations_that_do_not_fit_are_one_sentence(tmp_path: Path) -> None:
    w = Writer()
    path = w.save(tmp_path / "net.onnx", w("Add", "data", "nobody makes this"))
    with pytest.raises(BadInput, match=r"net.onnx cannot be read as a network"):
        onnx_graph(path)(torch.zeros(1, 3, 8, 8))
    w = Writer()
    path = w.save(tmp_path / "net.onnx", w("MatMul", "data", w.weight(7, 5)))
    with pytest.raises(BadInput, match=r"net.onnx cannot be read as a network"):
        onnx_graph(path)(torch.zeros(1, 3, 8, 8))
