"""What shows that a run trained: steps at the full rate, how far weights moved, whether conditions are followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import nn

from mien.core.caches import read_about
from mien.core.weights import write_weights
from mien.training.config import TrainConfig

if TYPE_CHECKING:
    from mien.training.objective import Logs, Objective

TRAINED = "trained.json"
"""Of each run: what this module finds, for people; evaluation reads the same from the run's log."""
START = "start.safetensors"


class WeightChange:
    """How far the trained weights of a run are from where they began.

    Args:
        folder: of the run; the weights at the start are kept in it.
        parameters: trained parameters by name.
        fresh: the run begins now. A run that began before this was measured has no weights of its start.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, nn.Parameter], *, fresh: bool) -> None:
        self._path, self._parameters = folder / START, parameters
        if fresh:
            write_weights(self._path, {name: p.detach().contiguous() for name, p in parameters.items()})
        self._is_known = read_about(self._path) is not None  # not of an older run, nor where a disk damaged it

    @torch.no_grad()
    def __call__(self) -> dict[str, Any]:
        """``|w - w_start| / |w_start|``; 1 where the weights began as nothing but zeros.

        Returns:
            ``weight_change`` over all trained weights, and ``weight_change_by_part`` over those of each network that is
            trained, such as ``unet`` or ``branches.landmarks``; both None where the start is not known.
        """
        if not self._is_known:
            return {"weight_change": None, "weight_change_by_part": None}
        moved: dict[str, float] = {}
        size: dict[str, float] = {}
        with safe_open(self._path, framework="pt") as stored:
            known = set(stored.keys())
            for name, parameter in self._parameters.items():
                if name not in known:
                    continue
                start, part = stored.get_tensor(name).to(parameter.device).double(), part_of(name)
                moved[part] = moved.get(part, 0.0) + float((parameter.double() - start).square().sum())
                size[part] = size.get(part, 0.0) + float(start.square().sum())
        parts = {part: _share(moved[part], size[part]) for part in sorted(moved)}
        return {"weight_change": _share(sum(moved.values()), sum(size.values())), "weight_change_by_part": parts}


def _share(moved: float, size: float) -> float:
    """Of two squared norms, as norms."""
    return round((moved / size) ** 0.5 if size else float(moved > 0), 6)


def part_of(name: str) -> str:
    """The network that a parameter belongs to: ``unet``; of branches each by itself."""
    first, *rest = name.split(".")
    return f"{first}.{rest[0]}" if first == "branches" and rest else first


def gaps_of(logs: Logs) -> dict[str, float]:
    """Those of what a validation found that say how much the conditions are followed (`mien.training.validation`)."""
    return {name: value for name, value in logs.items() if name == "gap" or name.endswith("_gap")}


def is_due(config: TrainConfig, seen: int, measured: list[dict[str, Any]]) -> bool:
    """Whether gaps are to be measured after ``seen`` pictures, when ``measured`` were before; the last is the end's."""
    every = config.pictures / config.validations
    if config.validate_every is not None:
        every = config.validate_every * config.global_batch
    return not measured or seen // every > measured[-1]["seen"] // every


@contextmanager
def evaluating(objective: Objective) -> Iterator[None]:
    """No gradients, networks as they are used; random numbers and the networks' modes are as before afterwards."""
    modes = {module: module.training for module in objective.modules()}
    objective.eval()
    try:
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.no_grad(), torch.random.fork_rng(devices):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def proof(config: TrainConfig, counters: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """What is written to `TRAINED`.

    Args:
        config: of the run.
        counters: of its state.
        change: of the weights that are exported, see :class:`WeightChange`.
    """
    gaps = [{key: value for key, value in one.items() if key != "seen"} for one in counters["gaps"]]
    return {
        "pictures": counters["seen"],
        "finished": counters["seen"] >= config.pictures,
        "steps": counters["step"],
        "full_rate_steps": round(counters["full_rate_steps"], 2),
        "warmup_images": config.warmup_images,
        **change,
        "first_gap": gaps[0] if gaps else {},
        "last_gap": gaps[-1] if gaps else {},
    }
