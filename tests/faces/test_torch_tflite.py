"""TensorFlow Lite operations in torch, from files of one operation each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mien.errors import BadInput
from mien.faces.torch_tflite import same_padding, tflite_graph

tflite: Any = pytest.importorskip("tflite", reason="tflite is not installed: pip install 'mien[heads]'")
import flatbuffers  # noqa: E402

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3}


def vector(builder: Any, start: Any, items: list[Any], offsets: bool = True) -> Any:
    start(builder, len(items))
    for item in reversed(items):
        (builder.PrependUOffsetTRelative if offsets else builder.PrependInt32)(item)
    return builder.EndVector()


def table(builder: Any, kind: str, **fields: Any) -> Any:
    getattr(tflite, f"{kind}Start")(builder)
    for name, value in fields.items():
        getattr(tflite, f"{kind}Add{name}")(builder, value)
    return getattr(tflite, f"{kind}End")(builder)


def one_operation(kind: str, *inputs: Any, options: str | None = None, **settings: Any) -> bytes:
    """A file that applies one operation: inputs are arrays (constants) or shapes (tuples) of what is given."""
    builder = flatbuffers.Builder(1024)
    shapes = [one.shape if isinstance(one, np.ndarray) else one for one in inputs]
    buffers = [table(builder, "Buffer")]
    tensors = []
    for one, shape in zip(inputs, shapes, strict=True):
        place, dtype = 0, "float32"
        if isinstance(one, np.ndarray):
            data = builder.CreateByteVector(one.tobytes())
            buffers.append(table(builder, "Buffer", Data=data))
            place, dtype = len(buffers) - 1, str(one.dtype)
        sizes = vector(builder, tflite.TensorStartShapeVector, list(shape), offsets=False)
        tensors.append(table(builder, "Tensor", Shape=sizes, Type=TYPES[dtype], Buffer=place))
    tensors.append(table(builder, "Tensor", Type=0, Buffer=0))
    told = {}
    if options:
        told = {"BuiltinOptionsType": getattr(tflite.BuiltinOptions, options)}
        told["BuiltinOptions"] = table(builder, options, **settings)
    reads = vector(builder, tflite.OperatorStartInputsVector, list(range(len(inputs))), offsets=False)
    makes = vector(builder, tflite.OperatorStartOutputsVector, [len(inputs)], offsets=False)
    operator = table(builder, "Operator", OpcodeIndex=0, Inputs=reads, Outputs=makes, **told)
    given = [k for k, one in enumerate(inputs) if not isinstance(one, np.ndarray)]
    graph = table(
        builder, "SubGraph",
        Tensors=vector_of(builder, "SubGraphStartTensorsVector", tensors),
        Inputs=vector(builder, tflite.SubGraphStartInputsVector, given, offsets=False),
        Outputs=vector(builder, tflite.SubGraphStartOutputsVector, [len(inputs)], offsets=False),
        Operators=vector_of(builder, "SubGraphStartOperatorsVector", [operator]),
    )  # fmt: skip
    number = getattr(tflite.BuiltinOperator, kind)
    code = table(builder, "OperatorCode", DeprecatedBuiltinCode=min(number, 127), BuiltinCode=number)
    model = table(
        builder, "Model", Version=3,
        OperatorCodes=vector_of(builder, "ModelStartOperatorCodesVector", [code]),
        Subgraphs=vector_of(builder, "ModelStartSubgraphsVector", [graph]),
        Buffers=vector_of(builder, "ModelStartBuffersVector", buffers),
    )  # fmt: skip
    builder.Finish(model, file_identifier=b"TFL3")
    return bytes(builder.Output())


def vector_of(builder: Any, start: str, items: list[Any]) -> Any:
    return vector(builder, getattr(tflite, start), items)


def run(data: bytes, *inputs: np.ndarray) -> np.ndarray:
    (found,) = tflite_graph(data, "the test's file")(*(torch.from_numpy(one) for one in inputs)).values()
    return found[:, 0].numpy()  # the file's own batch of 1


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("size", "stride", "kernel"), [(7, 2, 3), (8, 2, 3), (6, 1, 2), (5, 2, 2)])
def test_a_convolution_pads_the_odd_pixel_at_the_end(size: int, stride: int, kernel: int) -> None:
    pictures, weight, bias = numbers(2, size, size, 3), numbers(4, kernel, kernel, 3, seed=1), numbers(4, seed=2)
    settings = {"Padding": 0, "StrideH": stride, "StrideW": stride, "DilationHFactor": 1, "DilationWFactor": 1}
    file = one_operation(
        "CONV_2D", (1, size, size, 3), weight, bias, options="Conv2DOptions", FusedActivationFunction=1, **settings
    )
    count = -(-size // stride)
    total = max(0, (count - 1) * stride + kernel - size)
    padded = np.pad(pictures, ((0, 0), *[(total // 2, total - total // 2)] * 2, (0, 0)))
    expected = np.empty((2, count, count, 4), np.float32)
    for i in range(count):
        for j in range(count):
            patch = padded[:, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
            expected[:, i, j] = np.tensordot(patch, weight, ((1, 2, 3), (1, 2, 3))) + bias
    np.testing.assert_allclose(run(file, pictures), expected.clip(0), atol=1e-5)
    assert sum(same_padding(size, kernel, stride)) == total


def test_a_depthwise_convolution_keeps_channels_apart() -> None:
    pictures, weight = numbers(1, 4, 4, 2), numbers(1, 2, 2, 2, seed=1)
    settings = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    file = one_operation(
        "DEPTHWISE_CONV_2D", (1, 4, 4, 2), weight, np.zeros(2, np.float32), options="DepthwiseConv2DOptions",
        DepthMultiplier=1, **settings,
    )  # fmt: skip
    found = run(file, pictures)
    assert found.shape == (1, 3, 3, 2)
    expected = (pictures[0, 1:3, 2:4] * weight[0]).sum((0, 1))
    np.testing.assert_allclose(found[0, 1, 2], expected, atol=1e-6)


def test_padded_maxima_are_never_the_padding() -> None:
    pictures = -1 - np.abs(numbers(1, 3, 3, 1))
    settings = {"Padding": 0, "StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2}
    found = run(one_operation("MAX_POOL_2D", (1, 3, 3, 1), options="Pool2DOptions", **settings), pictures)
    assert found.shape == (1, 2, 2, 1)
    assert found[0, 1, 1, 0] == pictures[0, 2, 2, 0]


def test_small_operations() -> None:
    x = numbers(2, 3, 4)
    pads = np.array([[0, 0], [1, 0], [0, 2]], np.int32)
    np.testing.assert_array_equal(run(one_operation("PAD", (1, 3, 4), pads), x), np.pad(x, [(0, 0), (1, 0), (0, 2)]))
    slope = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    expected = np.where(x > 0, x, x * slope)
    np.testing.assert_allclose(run(one_operation("PRELU", (1, 3, 4), slope), x), expected, atol=1e-6)
    axis = np.array([1], np.int32)
    for kind, reduce in (("MEAN", np.mean), ("SUM", np.sum)):
        file = one_operation(kind, (1, 3, 4), axis, options="ReducerOptions", KeepDims=True)
        np.testing.assert_allclose(run(file, x), reduce(x, 1, keepdims=True), atol=1e-6)
    order = np.array([0, 2, 1], np.int32)
    np.testing.assert_array_equal(run(one_operation("TRANSPOSE", (1, 3, 4), order), x), x.transpose(0, 2, 1))
    one, two = np.array([0, 1, 1], np.int32), np.array([1, 3, 2], np.int32)
    strides, settings = np.array([1, 1, 1], np.int32), {"BeginMask": 1, "EndMask": 1, "ShrinkAxisMask": 4}
    file = one_operation("STRIDED_SLICE", (1, 3, 4), one, two, strides, options="StridedSliceOptions", **settings)
    np.testing.assert_array_equal(run(file, x), x[:, 1:3, 1])
    file = one_operation("ADD", (1, 3, 4), x[:1] * 0 + 5, options="AddOptions", FusedActivationFunction=3)
    np.testing.assert_allclose(run(file, x), (x + 5).clip(0, 6), atol=1e-6)


def test_half_precision_weights_are_read() -> None:
    x = -np.abs(numbers(1, 2))
    found = run(one_operation("PRELU", (1, 2), np.array([0.5, -3.0], np.float16)), x)
    np.testing.assert_allclose(found, x * [0.5, -3.0], rtol=1e-6)


def test_what_is_not_known_is_named() -> None:
    with pytest.raises(BadInput, match="the test's file has the operation COS, which is not known here; known are ADD"):
        run(one_operation("COS", (1, 2)), numbers(1, 2))
    with pytest.raises(BadInput, match="quantised"):
        run(one_operation("ADD", (1, 2), np.zeros((1, 2), np.uint8)), numbers(1, 2))
    with pytest.raises(BadInput, match="fused activation 4"):
        run(one_operation("ADD", (1, 2), numbers(1, 2), options="AddOptions", FusedActivationFunction=4), numbers(1, 2))
    with pytest.raises(BadInput, match="no TensorFlow Lite file"):
        tflite_graph(b"no network at all", "the test's file")


@pytest.mark.parametrize("place", range(0, 60, 4))
def test_damaged_files_are_one_sentence(place: int) -> None:
    """An offset that leads out of the file was a struct.error, or an attribute of something else."""
    whole = bytearray(one_operation("ADD", (1, 2), numbers(1, 2), options="AddOptions"))
    whole[place : place + 4] = b"\xff\xff\xff\x7f"
    try:
        run(bytes(whole), numbers(1, 2))
    except BadInput as error:
        assert str(error).endswith(".")
