"""Modules of a UNet that do less than usual for a while: share rows that are equal, or give what they gave before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

Forward = Callable[..., Any]


class Detours:
    """Modules whose ``forward`` is led through another function; :meth:`remove` leaves no trace.

    The function stands in the instance's ``__dict__`` as accelerate's own do, so it is no part of the state_dict.
    """

    def __init__(self) -> None:
        self._before: list[tuple[nn.Module, Any]] = []

    def put(self, module: nn.Module, around: Callable[[Forward, tuple[Any, ...], dict[str, Any]], Any]) -> None:
        """Let ``around(forward, arguments, options)`` stand for the module's forward."""
        own = module.forward
        self._before.append((module, module.__dict__.get("forward")))
        module.__dict__["forward"] = lambda *arguments, **options: around(own, arguments, options)

    def remove(self) -> None:
        """Put every forward back."""
        for module, before in reversed(self._before):
            if before is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = before
        self._before = []


class SharedRows:
    """Modules that see each distinct row of the batch once.

    Before a UNet's first cross-attention, evaluations of one picture that share text are the same rows.

    Args:
        modules: where all tensors have the batch first, and rows that are equal at the input are so at the output.
        first: rows of the batch that are distinct, int64 [D].
        place: which of them each row of the batch is, int64 [batch].
    """

    def __init__(self, modules: Iterable[nn.Module], first: Tensor, place: Tensor) -> None:
        self.active = True
        self._first, self._place = first, place
        self._detours = Detours()
        for module in modules:
            self._detours.put(module, self._around)

    def _around(self, forward: Forward, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if not self.active:
            return forward(*arguments, **options)
        few = each_tensor((arguments, options), lambda tensor: self._rows(tensor, self._first, len(self._place)))
        found = forward(*few[0], **few[1])
        return each_tensor(found, lambda tensor: self._rows(tensor, self._place, len(self._first)))

    @staticmethod
    def _rows(tensor: Tensor, rows: Tensor, expected: int) -> Tensor:
        has_rows = tensor.ndim > 0 and len(tensor) == expected
        return tensor.index_select(0, rows) if has_rows else tensor

    def remove(self) -> None:
        """Put everything back."""
        self._detours.remove()


class Recalled:
    """Modules that can give what they gave the last time they ran.

    Args:
        modules: where all tensors that come out have the batch first.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._span = self._rows = slice(0, 0)
        self._recall = False
        self._outputs: dict[nn.Module, Any] = {}
        self._detours = Detours()
        for module in modules:
            self._detours.put(module, self._for(module))

    def begin(self, span: slice, recall: bool) -> None:
        """Say what the next UNet call is.

        Args:
            span: which rows of the whole batch it has.
            recall: the modules shall not run; otherwise they run and what they give is kept. Ignored where these rows
                were not among the last.
        """
        inside = self._span.start <= span.start and span.stop <= self._span.stop
        self._recall = recall and inside and bool(self._outputs)
        if self._recall:
            self._rows = slice(span.start - self._span.start, span.stop - self._span.start)
        else:
            self._span = span

    def _for(self, module: nn.Module) -> Callable[[Forward, tuple[Any, ...], dict[str, Any]], Any]:
        def around(forward: Forward, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
            if self._recall:
                return each_tensor(self._outputs[module], lambda tensor: tensor[self._rows])
            self._outputs[module] = found = forward(*arguments, **options)
            return found

        return around

    def remove(self) -> None:
        """Put everything back, and let go of what was kept."""
        self._detours.remove()
        self._outputs = {}


def each_tensor(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same tuples, lists and dicts with every tensor changed; anything else stays as it is."""
    if isinstance(value, Tensor):
        return change(value)
    if type(value) in (tuple, list):
        return type(value)(each_tensor(one, change) for one in value)
    if type(value) is dict:
        return {name: each_tensor(one, change) for name, one in value.items()}
    return value
