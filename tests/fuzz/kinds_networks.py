"""Networks of other projects' files that mien computes itself: ONNX and TensorFlow Lite."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch

from mien.faces.torch_onnx import onnx_graph, picture_side
from mien.faces.torch_tflite import tflite_graph
from tests.arcface import iresnet
from tests.faces.test_torch_onnx import fixed, mobile
from tests.faces.test_torch_tflite import numbers, one_operation
from tests.fuzz.kind import Kind
from tests.fuzz.mutate import mutated

_HELD: list[tempfile.TemporaryDirectory[str]] = []


@cache
def sound() -> list[Path]:
    """Networks of both formats, in a folder that goes with the process."""
    holder = tempfile.TemporaryDirectory(prefix="mien-fuzz-")
    _HELD.append(holder)
    folder = Path(holder.name)
    found = [write(folder / f"{write.__name__}.onnx") for write in (iresnet, mobile, fixed)]
    operations = {
        "convolution": one_operation(
            "CONV_2D", (1, 8, 8, 3), numbers(4, 3, 3, 3), numbers(4), options="Conv2DOptions", Padding=0, StrideW=1,
            StrideH=1, DilationWFactor=1, DilationHFactor=1,
        ),
        "sum": one_operation("ADD", (1, 8, 8, 3), numbers(3), options="AddOptions"),
    }  # fmt: skip
    for name, data in operations.items():
        (folder / f"{name}.tflite").write_bytes(data)
        found.append(folder / f"{name}.tflite")
    return found


def network(rng: np.random.Generator, folder: Path) -> Path:
    source = sound()[int(rng.integers(len(sound())))]
    path = folder / source.name
    path.write_bytes(mutated(source.read_bytes(), rng))
    return path


def compute(path: Path) -> None:
    if path.suffix == ".onnx":
        side = picture_side(path, 112)
        onnx_graph(path)(torch.zeros(1, 3, min(max(side, 1), 512), min(max(side, 1), 512)))
    else:
        tflite_graph(path.read_bytes(), path.name)(torch.zeros(1, 8, 8, 3))


KINDS = {"networks": Kind(network, compute)}
