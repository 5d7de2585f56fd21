"""Frozen feed-forward networks read from files, as torch modules that gradients pass through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import BadInput, MienError
from mien.faces.alignment import full_precision

Operation = Callable[..., Any]
"""Input tensors (None for an absent one) -> a tensor, or a tuple where there are several outputs."""


@contextmanager
def whole_file(source: Path | str, kind: str = "a network") -> Iterator[None]:
    """What goes wrong inside is a damaged file: the libraries that read networks raise whatever comes to their mind.

    Raises:
        BadInput: naming the file.
    """
    try:
        yield
    except (MienError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise BadInput(f"{source} cannot be read as {kind}: get it again  (mien assets verify).") from error


@dataclass(frozen=True)
class Step:
    """One operation of a network.

    Attributes:
        run: what is computed.
        inputs: names of the values read; an empty name stands for an absent input.
        outputs: names of the values made.
    """

    run: Operation
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Graph(nn.Module):
    """Steps over named values, in the file's order; nothing in it is trained.

    The published files are made for one picture at a time (a batch of 1 stands in their reshapes), so each sample is
    computed as a batch of 1 and `torch.vmap` makes one batched computation of several; a single one does without.

    Args:
        steps: in an order in which they can be computed.
        constants: values of the file by name; floating point ones move with the module, integers (shapes, axes) do not.
        inputs: names of the inputs.
        outputs: names of the outputs.
        source: what the file is called in messages.
    """

    def __init__(
        self, steps: Sequence[Step], constants: Mapping[str, Tensor], inputs: Sequence[str], outputs: Sequence[str],
        source: Path | str,
    ) -> None:  # fmt: skip
        super().__init__()
        self._source = source
        self.steps, self.inputs, self.outputs = tuple(steps), tuple(inputs), tuple(outputs)
        used = {name for step in steps for name in step.inputs} | set(outputs)
        self._weights: dict[str, str] = {}
        self._integers: dict[str, Tensor] = {}
        for name, value in constants.items():
            if name not in used:
                continue
            if value.is_floating_point():
                self._weights[name] = f"weight_{len(self._weights)}"  # a file's names may hold dots
                self.register_buffer(self._weights[name], value.float(), persistent=False)
            else:
                self._integers[name] = value
        self._last = {name: k for k, step in enumerate(self.steps) for name in step.inputs}

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Outputs by name for inputs [B, ...]; each row is what the file computes for that one.

        Raises:
            BadInput: if the file's operations do not fit each other, or the inputs.
        """
        dtype = next((buffer.dtype for buffer in self.buffers()), torch.float32)
        alone = all(len(value) == 1 for value in inputs)
        with whole_file(self._source):
            if alone:
                found = full_precision(self._one)(*(value.to(dtype) for value in inputs))
                return {name: value[None] for name, value in found.items()}
            return full_precision(torch.vmap(self._one))(*(value.to(dtype)[:, None] for value in inputs))

    def _one(self, *inputs: Tensor) -> dict[str, Tensor]:
        values: dict[str, Any] = {"": None} | self._integers | dict(zip(self.inputs, inputs, strict=True))
        values |= {name: getattr(self, buffer) for name, buffer in self._weights.items()}
        for k, step in enumerate(self.steps):
            made = step.run(*(values[name] for name in step.inputs))
            values.update(zip(step.outputs, made if isinstance(made, tuple) else (made,), strict=False))
            for name in set(step.inputs) - {""}:
                if self._last[name] == k and name not in self.outputs:
                    del values[name]  # without gradients nothing else holds it
        return {name: values[name] for name in self.outputs}
