"""The state of a run on disk: weights, their average and the optimizer in safetensors, counters in JSON.

Random numbers are drawn from (seed, step), so no generator state needs saving and an interrupted run continues with
the batches an unbroken one would have seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.core.io import atomic_path
from mien.errors import MienError

FILE = "checkpoint.safetensors"
_EXTRA = "extra_state/"
EXPORTED = "exported.json"
"""Of how many pictures a run's ``export/`` was made; written after it, and away while the run goes on."""


class PowerEMA:
    """Average of weights whose memory is a fixed fraction of the run (power function, after EDM2's; *inferred* use).

    Args:
        parameters: trained parameters by name.
        power: weight on the past after n steps is (1 - 1/(n+1))^(power+1); 0 keeps a plain copy.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], power: float) -> None:
        self.power = power
        self.steps = 0
        self.average = {name: parameter.detach().clone().float() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, parameters: dict[str, nn.Parameter]) -> None:
        """Take one step of the average."""
        self.steps += 1
        keep = (1 - 1 / (self.steps + 1)) ** (self.power + 1) if self.power else 0.0
        names = list(self.average)
        torch._foreach_lerp_(
            [self.average[name] for name in names], [parameters[name].detach().float() for name in names], 1 - keep
        )

    @torch.no_grad()
    def swap(self, parameters: dict[str, nn.Parameter]) -> None:
        """Exchange the average and the live weights (call again to undo)."""
        for name, parameter in parameters.items():
            live = parameter.detach().clone()
            parameter.copy_(self.average[name])
            self.average[name] = live.float()


def save_state(
    folder: Path,
    parameters: dict[str, nn.Parameter],
    ema: PowerEMA,
    optimizer: torch.optim.Optimizer,
    counters: dict[str, Any],
    extra_state: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Write the whole state of a run atomically.

    Args:
        folder: of the run.
        parameters: trained parameters by name, in the order of the optimizer.
        ema: their average.
        optimizer: AdamW.
        counters: written as JSON.
        extra_state: what the run does not train and nothing else has.
    """
    tensors: dict[str, Tensor] = {f"model/{name}": p.detach().contiguous() for name, p in parameters.items()}
    tensors |= {f"{_EXTRA}{name}": value.detach().contiguous() for name, value in extra_state.items()}
    tensors |= {f"ema/{name}": value.contiguous() for name, value in ema.average.items()}
    names = list(parameters)
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            tensors[f"optimizer/{names[index]}/{key}"] = torch.as_tensor(value).detach().clone().contiguous()
    with atomic_path(folder / FILE) as temporary:
        save_file(tensors, temporary, metadata={"counters": json.dumps(counters | {"ema_steps": ema.steps})})


def counters_of(folder: Path) -> dict[str, Any] | None:
    """The counters a run was saved with, or None where there is none."""
    path = folder / FILE
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as stored:
        return json.loads(stored.metadata()["counters"])


def load_state(
    folder: Path,
    parameters: dict[str, nn.Parameter],
    ema: PowerEMA,
    optimizer: torch.optim.Optimizer,
    extra_state: Mapping[str, Tensor] = MappingProxyType({}),
    former_names: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any] | None:
    """Continue a run; returns its counters, or None when there is none.

    Everything stays on its device and in its memory format.

    Args:
        folder: of the run.
        parameters: in the order of the optimizer.
        ema: their average.
        optimizer: AdamW.
        extra_state: see :func:`save_state`; a tensor that the file does not have stays as it is.
        former_names: see :class:`mien.training.objective.Objective`.

    Raises:
        MienError: if the file is of another model.
    """
    path, counters = folder / FILE, counters_of(folder)
    if counters is None:
        return None
    names = list(parameters)
    state: dict[int, dict[str, Tensor]] = {index: {} for index in range(len(names))}
    with safe_open(path, framework="pt") as stored, torch.no_grad():
        places = {_current(key, former_names): key for key in stored.keys()}  # noqa: SIM118 - not a dict
        held = {key.removeprefix(_EXTRA) for key in places if key.startswith(_EXTRA)}  # fewer in an older run
        same = {key for key in places if key.startswith("model/")} == {f"model/{name}" for name in names}
        if not same or not held <= extra_state.keys():
            raise MienError(f"{path} belongs to another model; move it away or give another run folder.")

        def read(key: str) -> Tensor:
            return stored.get_tensor(places[key])

        for name in held:
            extra_state[name].copy_(read(_EXTRA + name))
        for index, name in enumerate(names):
            parameters[name].copy_(read(f"model/{name}"))
            ema.average[name].copy_(read(f"ema/{name}"))
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if f"optimizer/{name}/{key}" in places:
                    value = read(f"optimizer/{name}/{key}")
                    # the fused step goes through memory as it lies: a moment must lie there as its parameter does
                    state[index][key] = value if key == "step" else torch.empty_like(parameters[name]).copy_(value)
    ema.steps = counters["ema_steps"]
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": {i: s for i, s in state.items() if s}, "param_groups": groups})
    return counters


def _current(key: str, former_names: Mapping[str, str]) -> str:
    """The key that a checkpoint of this release has in the place of a key of 0.1.0."""
    kind, _, name = key.partition("/")
    if kind == "kept":
        return _EXTRA + name
    old = next((prefix for prefix in former_names if name.startswith(prefix)), None)
    return key if old is None else f"{kind}/{former_names[old]}{name.removeprefix(old)}"
