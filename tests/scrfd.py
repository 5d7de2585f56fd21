"""A file in SCRFD's published layout whose answer is known: a face wherever a place of the coarse grid is red."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

SIDE = 640
EDGES = (1.0, 1.5, 2.0, 2.5)
"""Distances of the box's edges from the anchor, in strides: left, top, right, bottom."""
POINTS = (-0.5, -0.5, 0.5, -0.5, 0.0, 0.0, -0.4, 0.6, 0.4, 0.6)


def write_scrfd(path: Path, channel: int = 0) -> Path:
    """Nine outputs as in ``scrfd_10g_bnkps.onnx``; only the coarsest stride finds anything.

    Args:
        path: the file.
        channel: the one of the input that is looked at.
    """
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'mien[test]'")
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants: list[Any] = []
    outputs: list[Any] = []

    def constant(name: str, values: Any, kind: Any = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    names = iter(range(400, 500))
    for width, bias in ((1, None), (4, EDGES), (10, POINTS)):
        for stride in (8, 16, 32):
            output = str(next(names))
            number = (SIDE // stride) ** 2 * 2
            outputs.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [number, width]))
            if bias is not None:
                nodes.append(helper.make_node("Identity", [constant(f"c{output}", [bias] * number)], [output]))
                continue
            # two anchors a place: the first is sure where the pixels' mean is above 0.5, the second never
            weight = np.zeros((2, 3, stride, stride), np.float32)
            weight[0, channel] = (20 if stride == 32 else 0) / stride**2
            made = [constant(f"w{output}", weight), constant(f"b{output}", [-10 if stride == 32 else -20, -20])]
            nodes += [
                helper.make_node("Conv", ["x", *made], [f"s{output}"], strides=[stride, stride]),
                helper.make_node("Transpose", [f"s{output}"], [f"t{output}"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"t{output}", constant(f"r{output}", [-1, 1], np.int64)], [f"l{output}"]),
                helper.make_node("Sigmoid", [f"l{output}"], [output]),
            ]
    seen = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "scrfd", [seen], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path
