"""What a run says of itself: running means, speed, memory; and where its numbers go."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mien.errors import MissingDependency

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from accelerate import Accelerator

    from mien.training.config import TrainConfig

log = logging.getLogger(__name__)
Numbers = dict[str, Any]


def chosen_trackers(config: TrainConfig) -> list[str]:
    """Names of the trackers of a run.

    Raises:
        MissingDependency: if one that is asked for is not installed.
    """
    if config.trackers is None:
        return ["tensorboard"] if find_spec("tensorboard") is not None else []
    for name in config.trackers:
        if find_spec(name) is None:
            raise MissingDependency(f"The tracker {name} is not installed: run  pip install {name}  or leave it out.")
    return list(config.trackers)


class Trackers:
    """The trackers of a run, on the main process; one that fails is left out with a warning, the run goes on.

    Args:
        accelerator: made with :func:`chosen_trackers`.
        config: what the run is told to have been made with.
        step: the first step of this sitting; what a tracker has of later ones is replaced where it can be.
    """

    def __init__(self, accelerator: Accelerator, config: TrainConfig, step: int) -> None:
        self._accelerator, self._failed = accelerator, not accelerator.log_with
        settings = config.model_dump(mode="json")
        named = {name: {"name": config.name} for name in ("wandb", "trackio")}
        self._try(lambda: accelerator.init_trackers("mien", None, {"tensorboard": {"purge_step": step}, **named}))
        for tracker in accelerator.trackers:
            if tracker.name != "tensorboard":  # which would make a folder of its own for them at every start
                self._try(lambda tracker=tracker: tracker.store_init_configuration(settings))

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Numbers of a step; what is not finite is left out."""
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        self._try(lambda: self._accelerator.log(numbers, step))

    def picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """A picture uint8 [H, W, 3]."""
        for tracker in self._accelerator.trackers:
            if hasattr(tracker, "log_images"):
                layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
                self._try(
                    lambda tracker=tracker, layout=layout: tracker.log_images({name: picture[None]}, step, **layout)
                )

    def close(self) -> None:
        """Write what is left."""
        for tracker in self._accelerator.trackers:
            self._try(tracker.finish)

    def _try(self, action: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            action()
        except Exception as error:  # a tracker is never worth a run: full disks, lost networks, other versions
            self._failed = True
            log.warning("The run goes on without its trackers: %s", error)


class RunningMeans:
    """Means over the last steps of what a run logs, over all processes and over sittings.

    Args:
        values: those of before.
        share: weight of a new value.
    """

    def __init__(self, values: Mapping[str, float], share: float = 0.02) -> None:
        self.values: Numbers = dict(values)
        self._share = share

    def add(self, found: Mapping[str, Any]) -> None:
        """Values of one step."""
        for name, value in found.items():
            if isinstance(value, Tensor):
                value = value.detach()
            before = self.values.get(name)
            if before is None:
                self.values[name] = value
                continue
            if isinstance(value, Tensor) and not isinstance(before, Tensor):  # of a checkpoint: the same number again
                before = torch.as_tensor(before, dtype=value.dtype, device=value.device)
            self.values[name] = (1 - self._share) * before + self._share * value

    def rounded(self) -> dict[str, float]:
        """To five decimals."""
        return {name: round(float(value), 5) for name, value in self.values.items()}

    def exact(self) -> dict[str, float]:
        """For a checkpoint."""
        return {name: float(value) for name, value in self.values.items()}


def memory_mb(device: torch.device) -> int:
    """The most memory this process has taken: of the GPU where there is one, else of the machine; 0 if unknown."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if sys.platform == "darwin" else 2**10))
