"""TensorFlow Lite files as torch modules: the operations of MediaPipe's face networks, in float16 or float32.

Kept beside the packages that run such files (MediaPipe, ai-edge-litert): those run them outside torch, one picture at a
time, so that no gradient passes through them and no GPU of torch's is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.core.optional import require
from mien.errors import BadInput
from mien.faces.graph import Graph, Operation, Step, whole_file


def tflite_graph(data: bytes, source: str) -> Graph:
    """The network in a TensorFlow Lite file; pictures stay in the file's layout [B, H, W, C].

    Args:
        data: the file's content.
        source: what it is called in messages.

    Raises:
        BadInput: if it is no such file, or has an operation, a type or an option that is not known here.
        MissingDependency: without the package ``tflite``, which knows the format.
    """
    tflite = require("tflite", extra="faces")
    if data[4:8] != b"TFL3":
        raise BadInput(f"{source} is no TensorFlow Lite file: get it again  (mien assets verify).")
    with whole_file(source):
        model = tflite.Model.GetRootAs(data, 0)
        return _graph(tflite, model, model.Subgraphs(0), source)


def _graph(tflite: Any, model: Any, graph: Any, source: str) -> Graph:
    constants = _constants(tflite, model, graph, source)
    steps = []
    for place in range(graph.OperatorsLength()):
        operator = graph.Operators(place)
        name = _name(tflite, model, operator)
        inputs, outputs = ([str(i) for i in row] for row in (operator.InputsAsNumpy(), operator.OutputsAsNumpy()))
        if name == "DEQUANTIZE" and inputs[0] in constants and constants[inputs[0]].is_floating_point():
            constants[outputs[0]] = constants[inputs[0]].float()
            continue
        if name not in _BUILDERS:
            raise BadInput(
                f"{source} has the operation {name}, which is not known here; known are {', '.join(_BUILDERS)}."
            )
        run = _BUILDERS[name](_options(tflite, operator), [constants.get(i) for i in inputs])
        steps.append(Step(run, tuple("" if i == "-1" else i for i in inputs), tuple(outputs)))
    given, made = ([str(i) for i in row] for row in (graph.InputsAsNumpy(), graph.OutputsAsNumpy()))
    return Graph(steps, constants, given, made, source)


def _constants(tflite: Any, model: Any, graph: Any, source: str) -> dict[str, Tensor]:
    types = {tflite.TensorType.FLOAT32: np.float32, tflite.TensorType.FLOAT16: np.float16,
             tflite.TensorType.INT32: np.int32, tflite.TensorType.INT64: np.int64}  # fmt: skip
    found = {}
    for place in range(graph.TensorsLength()):
        tensor = graph.Tensors(place)
        if tensor.Type() not in types or tensor.Sparsity() is not None:
            raise BadInput(
                f"{source} holds quantised or sparse numbers, which are not known here: use its float16 file."
            )
        buffer = model.Buffers(tensor.Buffer())
        if buffer.DataLength():
            shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
            values = buffer.DataAsNumpy().view(types[tensor.Type()]).reshape(shape)
            found[str(place)] = torch.from_numpy(values.copy())
    return found


def _name(tflite: Any, model: Any, operator: Any) -> str:
    code = model.OperatorCodes(operator.OpcodeIndex())
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # older files have only the second
    names = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
    return names.get(number, str(number))


def _options(tflite: Any, operator: Any) -> Any:
    """The operation's own table, e.g. Conv2DOptions; None if it has none."""
    kinds = {value: name for name, value in vars(tflite.BuiltinOptions).items() if isinstance(value, int)}
    table = operator.BuiltinOptions()
    if table is None:
        return None
    options = getattr(tflite, kinds[operator.BuiltinOptionsType()])()
    options.Init(table.Bytes, table.Pos)
    return options


def _activated(options: Any, run: Operation) -> Operation:
    """The operation followed by its fused activation."""
    after = {0: None, 1: F.relu, 2: F.hardtanh, 3: F.relu6}.get(options.FusedActivationFunction() if options else 0, "")
    if after == "":
        raise BadInput(f"The fused activation {options.FusedActivationFunction()} is not known here.")
    return run if after is None else lambda *inputs: after(run(*inputs))  # type: ignore[operator]


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """TensorFlow's padding "same" of one side, (before, after): the odd pixel goes after."""
    total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return total // 2, total - total // 2


_VALID = 1
"""Padding of an operation's options: none; 0 is "same"."""


def _padded(
    x: Tensor, kernel: tuple[int, int], strides: tuple[int, int], dilation: tuple[int, int], value: float
) -> Tensor:
    """Pictures [B, C, H, W] padded as TensorFlow's "same" wants it."""
    rows, columns = map(same_padding, x.shape[-2:], kernel, strides, dilation)
    return F.pad(x, (*columns, *rows), value=value) if any((*rows, *columns)) else x


def _convolution(options: Any, constants: list[Tensor | None], depthwise: bool = False) -> Operation:
    strides, dilation = (options.StrideH(), options.StrideW()), (options.DilationHFactor(), options.DilationWFactor())
    valid = options.Padding() == _VALID

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        weight = weight.permute(3, 0, 1, 2) if depthwise else weight.permute(0, 3, 1, 2)
        if not valid:
            x = _padded(x, (weight.shape[2], weight.shape[3]), strides, dilation, 0.0)
        groups = x.shape[1] if depthwise else 1
        return F.conv2d(x, weight, bias, strides, dilation=dilation, groups=groups).permute(0, 2, 3, 1)

    return _activated(options, run)


def _max_pool(options: Any, constants: list[Tensor | None]) -> Operation:
    kernel, strides = (options.FilterHeight(), options.FilterWidth()), (options.StrideH(), options.StrideW())
    valid = options.Padding() == _VALID

    def run(x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        if not valid:
            x = _padded(x, kernel, strides, (1, 1), float("-inf"))
        return F.max_pool2d(x, kernel, strides).permute(0, 2, 3, 1)

    return _activated(options, run)


def _pad(options: Any, constants: list[Tensor | None]) -> Operation:
    widths = _integers(constants[1], "PAD")
    flat = [n for pair in zip(widths[-2::-2], widths[-1::-2], strict=True) for n in pair]  # torch: last axis first
    return lambda x, _: F.pad(x, flat)


def _reduction(reduce: Callable[..., Tensor]) -> Callable[..., Operation]:
    def build(options: Any, constants: list[Tensor | None]) -> Operation:
        axes, keep = _integers(constants[1], "MEAN or SUM"), bool(options.KeepDims())
        return lambda x, _: reduce(x, dim=axes, keepdim=keep)

    return build


def _reshape(options: Any, constants: list[Tensor | None]) -> Operation:
    # older files have the shape in the options, newer ones as a second input
    shape = _integers(constants[1], "RESHAPE") if len(constants) > 1 else options.NewShapeAsNumpy().tolist()
    return lambda x, *_: x.reshape(shape)


def _transpose(options: Any, constants: list[Tensor | None]) -> Operation:
    order = _integers(constants[1], "TRANSPOSE")
    return lambda x, _: x.permute(order)


def _strided_slice(options: Any, constants: list[Tensor | None]) -> Operation:
    if options.EllipsisMask() or options.NewAxisMask():
        raise BadInput("STRIDED_SLICE with an ellipsis or a new axis is not known here.")
    begin, end, strides = (_integers(value, "STRIDED_SLICE") for value in constants[1:4])
    index: list[Any] = []
    for axis, (first, last, stride) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << axis
        if options.ShrinkAxisMask() & bit:
            index.append(first)
        else:
            index.append(
                slice(None if options.BeginMask() & bit else first, None if options.EndMask() & bit else last, stride)
            )
    return lambda x, *_: x[tuple(index)]


def _concatenation(options: Any, constants: list[Tensor | None]) -> Operation:
    return _activated(options, lambda *parts: torch.cat(parts, options.Axis()))


def _integers(value: Tensor | None, name: str) -> list[int]:
    """A shape or axes, which these files always hold as constants."""
    if value is None:
        raise BadInput(f"{name} with a computed shape or axis is not known here.")
    return value.reshape(-1).tolist()


def _plain(run: Operation) -> Callable[..., Operation]:
    return lambda options, constants: run


def _arithmetic(run: Operation) -> Callable[..., Operation]:
    return lambda options, constants: _activated(options, run)


_BUILDERS: dict[str, Callable[[Any, list[Tensor | None]], Operation]] = {
    "ADD": _arithmetic(torch.add),
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": partial(_convolution, depthwise=True),
    "DIV": _arithmetic(torch.div),
    "LOGISTIC": _plain(torch.sigmoid),
    "MAX_POOL_2D": _max_pool,
    "MEAN": _reduction(torch.mean),
    "MUL": _arithmetic(torch.mul),
    "NEG": _plain(torch.neg),
    "PAD": _pad,
    "PRELU": _plain(lambda x, slope: torch.addcmul(x.clamp(min=0), slope, x.clamp(max=0))),  # faster than torch.where
    "RELU": _plain(F.relu),
    "RESHAPE": _reshape,
    "RSQRT": _plain(torch.rsqrt),
    "SQRT": _plain(torch.sqrt),
    "SQUARED_DIFFERENCE": _plain(lambda a, b: (a - b).square()),
    "STRIDED_SLICE": _strided_slice,
    "SUB": _arithmetic(torch.sub),
    "SUM": _reduction(torch.sum),
    "TRANSPOSE": _transpose,
}
"""Options and constant inputs of an operation -> what computes it."""
