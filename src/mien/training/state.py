"""The state of a run on disk: weights, their average and the optimizer in safetensors, counters in JSON.

Random numbers are drawn from (seed, step), so no generator state needs saving and an interrupted run continues with
the batches an unbroken one would have seen. A digest of the content is held against it at the next start.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from itertools import count, pairwise, takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.core.caches import DIGEST, content_digest, read_about
from mien.core.io import atomic_path
from mien.core.weights import weights_path
from mien.errors import MienError

log = logging.getLogger(__name__)
FILE = "checkpoint.safetensors"
PREVIOUS = "checkpoint.previous.safetensors"
"""The one before, which a run goes on from where the newest is damaged."""
DAMAGED = "checkpoint.damaged.safetensors"
"""The newest one that could not be read, kept for who wants to look at it; a run never reads it."""
BEST = "checkpoint.best.safetensors"
"""The one with the lowest validation error; it stays when later ones take the place of those beside it."""
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
    keep: int = 2,
) -> None:
    """Write the whole state of a run atomically.

    Args:
        folder: of the run.
        parameters: trained parameters by name, in the order of the optimizer.
        ema: their average.
        optimizer: AdamW.
        counters: written as JSON.
        extra_state: what the run does not train and nothing else has.
        keep: how many of the last checkpoints there are afterwards.
    """
    tensors: dict[str, Tensor] = {f"model/{name}": p.detach().contiguous() for name, p in parameters.items()}
    tensors |= {f"{_EXTRA}{name}": value.detach().contiguous() for name, value in extra_state.items()}
    tensors |= {f"ema/{name}": value.contiguous() for name, value in ema.average.items()}
    names = list(parameters)
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            tensors[f"optimizer/{names[index]}/{key}"] = torch.as_tensor(value).detach().clone().contiguous()
    about = {"counters": json.dumps(counters | {"ema_steps": ema.steps})}
    tensors = {name: value.cpu() for name, value in tensors.items()}
    digest = content_digest(_arrays(tensors), about)
    with weights_path(folder / FILE) as temporary:
        save_file(tensors, temporary, metadata=about | {DIGEST: digest})
        _keep_previous(folder, keep)


def previous_name(number: int) -> str:
    """What the checkpoint is called that so many others were written after, at least 1."""
    return PREVIOUS if number == 1 else PREVIOUS.replace(".safetensors", f"-{number}.safetensors")


def _keep_previous(folder: Path, keep: int) -> None:
    """The newest checkpoint becomes the one before; there is one under its own name at every moment."""
    earlier = [folder / previous_name(number) for number in range(1, keep)]
    if not (folder / FILE).exists():  # moved away, to begin anew
        for path in (*earlier, folder / BEST):
            path.unlink(missing_ok=True)
        return
    for newer, older in reversed([*pairwise(earlier)]):
        if newer.exists():
            newer.replace(older)
    _link(folder / FILE, earlier[0])


def keep_best(folder: Path) -> None:
    """The newest checkpoint is the best one so far."""
    _link(folder / FILE, folder / BEST)


def _link(file: Path, name: Path) -> None:
    """Give a file another name, in the place of what has it."""
    with atomic_path(name) as temporary:
        temporary.unlink()
        try:
            temporary.hardlink_to(file)
        except OSError:  # a disk without links
            shutil.copyfile(file, temporary)


def counters_of(folder: Path) -> dict[str, Any] | None:
    """The counters a run was saved with, or None where there is none that can be read."""
    if not (folder / FILE).exists():
        return None
    for path in (folder / FILE, *_earlier(folder)):
        about = read_about(path) or {}
        counters = _counters(about)
        if counters is not None:
            return counters
    return None


def _earlier(folder: Path) -> Iterator[Path]:
    """The checkpoints before the newest, the later ones first."""
    return takewhile(Path.exists, (folder / previous_name(number) for number in count(1)))


def _counters(about: Mapping[str, str]) -> dict[str, Any] | None:
    try:
        found = json.loads(about["counters"])
    except (LookupError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The bits of tensors for a digest; NumPy has no bfloat16."""
    return {
        name: (value.view(torch.int16) if value.dtype == torch.bfloat16 else value).numpy()
        for name, value in tensors.items()
    }


class _Stored(NamedTuple):
    counters: dict[str, Any]
    tensors: dict[str, Tensor]


def _read(path: Path) -> _Stored | None:
    """A whole checkpoint; None where it is damaged.

    One of 0.1.0 has no digest to be compared with, and nothing but its counters beside the weights: a damaged name of
    the digest is not taken for that.

    Raises:
        MienError: if the disk or the rights do not let it be read: that says nothing of what the file holds.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            about = dict(stored.metadata() or {})
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - not a dict
        digest, counters = about.pop(DIGEST, None), _counters(about)
        unsaid = digest is None and set(about) == {"counters"}
        if counters is None or not (unsaid or digest == content_digest(_arrays(tensors), about)):
            return None
    except MemoryError:  # passes, and the file is as good as before
        raise
    except OSError as error:
        raise MienError(f"Cannot read {path}: {error.strerror or error}; mend that and start the run again.") from error
    except Exception as error:  # whatever the parser raises on what a disk made of the file
        log.info("%s: %s", path, error)
        return None
    return _Stored(counters, tensors)


def _read_newest(folder: Path) -> _Stored:
    """The newest checkpoint that is whole; a damaged newest one is put aside and makes room for it.

    Raises:
        MienError: if all are damaged, or one cannot be read for another reason.
    """
    newest = folder / FILE
    found = _read(newest)
    if found is not None:
        return found
    for path in _earlier(folder):
        found = _read(path)
        if found is not None:
            _link(newest, folder / DAMAGED)
            _link(path, newest)  # or the next save would keep the damaged one as the one before
            log.warning("%s is damaged (kept as %s): the run goes on from the checkpoint before it.", newest, DAMAGED)
            return found
    raise MienError(f"{newest} is damaged, and so is every one before it: move {folder} away to begin anew.")


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
        MienError: if the file is of another model, or it and all before it are damaged, or it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    counters, stored = _read_newest(folder)
    names = list(parameters)
    state: dict[int, dict[str, Tensor]] = {index: {} for index in range(len(names))}
    places = {_current(key, former_names): key for key in stored}
    held = {key.removeprefix(_EXTRA) for key in places if key.startswith(_EXTRA)}  # fewer in an older run
    same = {key for key in places if key.startswith("model/")} == {f"model/{name}" for name in names}
    if not same or not held <= extra_state.keys():
        raise MienError(f"{path} belongs to another model; move it away or give another run folder.")
    with torch.no_grad():
        for name in held:
            extra_state[name].copy_(stored[places[_EXTRA + name]])
        for index, name in enumerate(names):
            parameters[name].copy_(stored[places[f"model/{name}"]])
            ema.average[name].copy_(stored[places[f"ema/{name}"]])
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if f"optimizer/{name}/{key}" in places:
                    value = stored[places[f"optimizer/{name}/{key}"]]
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
