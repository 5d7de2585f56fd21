"""What the processes of a run exchange: the main one reads and writes, and sends the others what it has read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from mien.errors import MienError

if TYPE_CHECKING:
    from accelerate import Accelerator, InitProcessGroupKwargs

    from mien.training.state import PowerEMA

T = TypeVar("T")
_LOST = (
    "timed out", "timeout", "connection closed", "connection reset", "broken pipe", "connection refused",
    "remote error", "communicator was aborted",
)  # fmt: skip
"""What the backends say, in small letters, where a process is gone or does not answer."""
_MOMENTS = ("exp_avg", "exp_avg_sq")


class LostProcess(MienError):
    """A process of the run is gone, or did not answer in time."""


def raise_in_time() -> None:
    """Let NCCL raise in the process that waits too long; otherwise its watchdog ends the process, and nothing is said.

    To be called before the group of processes is made. A process then waits for its collectives on the processor, which
    costs nothing here: each step reads its loss and the gradient's norm. Who has set the variable is left alone.
    """
    os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")


def group_timeout(minutes: float) -> InitProcessGroupKwargs:
    """How long a process waits for the others before it gives up."""
    from accelerate import InitProcessGroupKwargs

    return InitProcessGroupKwargs(timeout=timedelta(minutes=minutes))


@contextmanager
def named_timeouts(accelerator: Accelerator, minutes: float) -> Iterator[None]:
    """Say in one sentence that the other processes did not answer.

    Raises:
        LostProcess: in the place of what the backend raises.
    """
    try:
        yield
    except RuntimeError as error:
        if accelerator.num_processes == 1 or not any(word in str(error).lower() for word in _LOST):
            raise
        host = os.environ.get("HOSTNAME", "this machine")
        raise LostProcess(
            f"Process {accelerator.process_index} of {accelerator.num_processes} on {host} lost the others: one has "
            f"ended, or did not answer within {minutes:g} minutes (timeout_minutes). See what the others said last; "
            "the same command continues from the last checkpoint."
        ) from error


def from_main(accelerator: Accelerator, function: Callable[[], T]) -> T:
    """What a function gives in the main process, in all of them; it is called there alone.

    Raises:
        MienError: in all processes where the function raises one, so that none waits for it.
    """
    if accelerator.num_processes == 1:
        return function()
    import torch.distributed as dist

    sent: list[Any] = [None, None]
    error: MienError | None = None
    if accelerator.is_main_process:
        try:
            sent[0] = function()
        except MienError as raised:
            error, sent[1] = raised, str(raised)
    dist.broadcast_object_list(sent, 0, device=accelerator.device if accelerator.device.type == "cuda" else None)
    if error is not None:
        raise error
    if sent[1] is not None:
        raise MienError(sent[1])
    return sent[0]


def share_state(
    accelerator: Accelerator,
    parameters: Mapping[str, nn.Parameter],
    ema: PowerEMA,
    optimizer: torch.optim.Optimizer,
    extra_state: Mapping[str, Tensor],
) -> None:
    """Send weights, their average, the optimizer's moments and other state from the main process to all."""
    if accelerator.num_processes == 1:
        return
    ema.steps = from_main(accelerator, lambda: ema.steps)
    with torch.no_grad():
        for name, parameter in parameters.items():
            _send(parameter.data)
            _send(ema.average[name])
        for value in extra_state.values():
            _send(value)
        steps = from_main(
            accelerator, lambda: {n: float(optimizer.state[p]["step"]) for n, p in _moved(parameters, optimizer)}
        )
        for name, step in steps.items():
            state, parameter = optimizer.state[parameters[name]], parameters[name]
            if not state:
                device = parameter.device if optimizer.defaults.get("fused") else "cpu"
                state["step"] = torch.zeros((), device=device)
                state |= {moment: torch.zeros_like(parameter) for moment in _MOMENTS}
            state["step"].fill_(step)
            for moment in _MOMENTS:
                _send(state[moment])


def _moved(parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in parameters.items() if optimizer.state.get(parameter)]


def _send(value: Tensor) -> None:
    import torch.distributed as dist

    whole = value.contiguous()
    dist.broadcast(whole, 0)
    value.copy_(whole)


def gathered(accelerator: Accelerator, values: list[float]) -> list[list[float]]:
    """A few numbers of every process, in their order."""
    if accelerator.num_processes == 1:
        return [values]
    own = torch.tensor([values], dtype=torch.float64, device=accelerator.device)
    return accelerator.gather(own).tolist()  # type: ignore[union-attr]
