"""ONNX files as torch modules that gradients pass through: the operations of face recognition networks.

`mien.faces.onnx` runs the same files faster where no gradient is wanted, but for a GPU that onnxruntime cannot use;
onnxruntime passes none. The package
onnx2torch does what this module does for many more operations; it has not been tried on these files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mien.core.modules import placed
from mien.core.optional import require
from mien.errors import BadInput
from mien.faces.graph import Graph, Operation, Step, whole_file

Attributes = dict[str, Any]


def onnx_graph(path: Path) -> Graph:
    """The network in an ONNX file.

    Args:
        path: the file, with its weights inside.

    Raises:
        BadInput: if it is no ONNX file, or has an operation or an option that is not known here.
        MissingDependency: without the package ``onnx``.
    """
    with onnx_network(path) as network:
        return _graph(network, path)


@contextmanager
def onnx_network(path: Path, extra: str = "heads") -> Iterator[Any]:
    """The graph of an ONNX file, a message of the package ``onnx``; what goes wrong inside is the file's fault.

    Args:
        path: the file.
        extra: with which the package is installed.

    Raises:
        BadInput: if it is no ONNX file.
        MissingDependency: without the package.
    """
    onnx = require("onnx", extra=extra)
    with whole_file(path, "an ONNX file"):
        yield onnx.load(str(path), load_external_data=False).graph


def _graph(network: Any, path: Path) -> Graph:
    onnx = require("onnx", extra="heads")
    read = require("onnx.numpy_helper", extra="heads").to_array
    constants = {one.name: torch.tensor(read(one)) for one in network.initializer}
    steps = []
    for node in network.node:
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "Constant" and "value" in attributes:
            constants[node.output[0]] = torch.tensor(read(attributes["value"]))
            continue
        if node.op_type not in _BUILDERS or node.domain not in ("", "ai.onnx"):
            raise BadInput(
                f"{path} has the operation {node.op_type}, which is not known here; known are {', '.join(_BUILDERS)}."
            )
        steps.append(Step(_BUILDERS[node.op_type](attributes), tuple(node.input), tuple(node.output)))
    inputs = [one.name for one in network.input if one.name not in constants]
    return Graph(steps, constants, inputs, [one.name for one in network.output], path)


class TorchOnnxModel:
    """An ONNX file on a PyTorch device, called as `mien.faces.onnx.OnnxModel` is.

    Args:
        path: the file.
        device: where it runs.

    Raises:
        BadInput, MissingDependency: see :func:`onnx_graph`.
    """

    def __init__(self, path: Path, device: str) -> None:
        self._device = device
        self._graph = placed(onnx_graph(path).eval().requires_grad_(False), device=device)

    @torch.no_grad()
    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name for a batch [B, 3, S, S]."""
        outputs = self._graph(torch.from_numpy(batch).to(self._device))
        return {name: values.flatten(0, 1).cpu().numpy() for name, values in outputs.items()}


def picture_side(path: Path, default: int) -> int:
    """Side of the pictures that a file [B, 3, S, S] takes; ``default`` where it does not say."""
    with onnx_network(path) as network:
        stored = {one.name for one in network.initializer}
        shape = next(one for one in network.input if one.name not in stored).type.tensor_type.shape.dim
        return shape[-1].dim_value or default


def _padded(x: Tensor, attributes: Attributes, value: float = 0.0) -> Tensor:
    """Padded as ``pads`` says; ONNX gives all beginnings, then all ends."""
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise BadInput(
            f"The padding {attributes['auto_pad'].decode()} is not known here: export the file with explicit pads."
        )
    pads = attributes.get("pads", [0, 0, 0, 0])
    top, left, bottom, right = pads
    return F.pad(x, (left, right, top, bottom), value=value) if any(pads) else x


def _conv(a: Attributes) -> Operation:
    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        strides, dilation = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
        return F.conv2d(_padded(x, a), weight, bias, strides, dilation=dilation, groups=a.get("group", 1))

    return run


def _pool(a: Attributes, greatest: bool) -> Operation:
    kernel, strides = a["kernel_shape"], a.get("strides", [1, 1])
    if a.get("ceil_mode") or any(d != 1 for d in a.get("dilations", [1])):
        raise BadInput("Pooling that rounds up or is dilated is not known here.")
    if greatest:
        return lambda x: F.max_pool2d(_padded(x, a, float("-inf")), kernel, strides)
    if any(a.get("pads", [0])) and not a.get("count_include_pad"):
        raise BadInput("Average pooling that does not count its padding is not known here.")
    return lambda x: F.avg_pool2d(_padded(x, a), kernel, strides)


def _batch_norm(a: Attributes) -> Operation:
    def run(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        gain = weight / (variance + a.get("epsilon", 1e-5)).sqrt()
        over = (-1, *[1] * (x.ndim - 2))
        return x * gain.view(over) + (bias - mean * gain).view(over)

    return run


def _gemm(a: Attributes) -> Operation:
    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        x = x.mT if a.get("transA") else x
        y = a.get("alpha", 1.0) * (x @ (weight.mT if a.get("transB") else weight))
        return y if bias is None else y + a.get("beta", 1.0) * bias

    return run


def _flatten(a: Attributes) -> Operation:
    axis = a.get("axis", 1)
    return lambda x: x.reshape(*[1] * (axis == 0), *([x.shape[:axis].numel()] if axis else []), -1)


def _reshape(a: Attributes) -> Operation:
    def run(x: Tensor, shape: Tensor | None = None) -> Tensor:
        wanted = a["shape"] if shape is None else shape.tolist()
        return x.reshape([x.shape[k] if n == 0 and not a.get("allowzero") else n for k, n in enumerate(wanted)])

    return run


def _axes(a: Attributes, given: Tensor | None) -> list[int] | None:
    """Axes: an attribute in old files, an input in new ones."""
    return a.get("axes") if given is None else given.reshape(-1).tolist()


def _reduction(a: Attributes, reduce: Callable[..., Tensor]) -> Operation:
    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        found = _axes(a, axes) or list(range(x.ndim))
        return reduce(x, dim=found, keepdim=bool(a.get("keepdims", 1)))

    return run


def _unsqueeze(a: Attributes) -> Operation:
    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        for axis in sorted(_axes(a, axes) or []):
            x = x.unsqueeze(axis)
        return x

    return run


def _squeeze(a: Attributes) -> Operation:
    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        found = _axes(a, axes)
        return x.squeeze() if found is None else x.squeeze(tuple(found))

    return run


def _clip(a: Attributes) -> Operation:
    return lambda x, low=None, high=None: x.clamp(
        a.get("min") if low is None else low, a.get("max") if high is None else high
    )


def _gather(a: Attributes) -> Operation:
    axis = a.get("axis", 0)

    def run(x: Tensor, index: Tensor) -> Tensor:
        shape = [*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]]
        return x.index_select(axis, index.reshape(-1) % x.shape[axis]).reshape(shape)  # -1 is the last

    return run


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, slope * x)


def _plain(run: Operation) -> Callable[[Attributes], Operation]:
    return lambda attributes: run


_BUILDERS: dict[str, Callable[[Attributes], Operation]] = {
    "Add": _plain(torch.add),
    "AveragePool": partial(_pool, greatest=False),
    "BatchNormalization": _batch_norm,
    "Cast": _plain(lambda x: x),  # numbers that matter are float32 here, shapes are int64
    "Clip": _clip,
    "Concat": lambda a: lambda *parts: torch.cat(parts, a["axis"]),
    "Conv": _conv,
    "Div": _plain(torch.div),
    "Dropout": _plain(lambda x, *_: x),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _plain(lambda x: x.mean((-2, -1), keepdim=True)),
    "Identity": _plain(lambda x: x),
    "LeakyRelu": lambda a: lambda x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "MatMul": _plain(torch.matmul),
    "MaxPool": partial(_pool, greatest=True),
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "PRelu": _plain(_prelu),
    "ReduceL2": partial(_reduction, reduce=torch.linalg.vector_norm),
    "ReduceMean": partial(_reduction, reduce=torch.mean),
    "ReduceSum": partial(_reduction, reduce=torch.sum),
    "Relu": _plain(F.relu),
    "Reshape": _reshape,
    "Shape": _plain(lambda x: torch.tensor(x.shape)),
    "Sigmoid": _plain(torch.sigmoid),
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Transpose": lambda a: lambda x: x.permute(a["perm"]) if "perm" in a else x.permute(*range(x.ndim)[::-1]),
    "Unsqueeze": _unsqueeze,
}
"""Attributes of an operation -> what computes it."""
