"""What the rehearsal does about each command of the recipes: words for its size, what is killed, what is proved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mien.core.io import read_json, sha256_of
from mien.evaluation.protocols.real import PRESETS
from mien.training.state import counters_of
from tests.rehearsal.shell import Shell

STEPS_BEFORE = 1
"""Steps that are saved before a process is killed."""
STOCK = 3
"""Of 255: how far a picture of stock diffusers may be from ours, whose sums go in another order."""


class NotProved(Exception):
    """A command did what it should not."""


@dataclass(frozen=True)
class Detail:
    """About the commands that begin so.

    Attributes:
        begins: of the command on its page.
        small: words that are added to it.
        proof: says what the command has shown; raises `NotProved`.
        kill: a process, of training that of rank 1 after `STEPS_BEFORE` steps, of work on the cluster a node.
        again: what is put in the place of what, for the same once more without a kill; training does it in a cache of
            its own.
        without: words that are left out then.
        anew: folders that the command makes at once and does not continue, or that a kill wants to begin with.
        not_typed: why the command is left out.
    """

    begins: str
    small: str = ""
    proof: Callable[[Shell], str] | None = None
    kill: bool = False
    again: tuple[str, str] | None = None
    without: str = ""
    anew: tuple[str, ...] = ()
    not_typed: str = ""


def detail_of(command: str, details: Sequence[Detail]) -> Detail:
    """The one for a command, the longest that fits."""
    fitting = [one for one in details if command.startswith(one.begins)]
    return max(fitting, key=lambda one: len(one.begins), default=Detail(command))


def steps_saved(run: Path) -> int:
    """Steps of a run's checkpoint."""
    return (counters_of(run) or {}).get("step", 0)


def expect(right: bool, what: str) -> None:
    """Raise where something is not as it should be."""
    if not right:
        raise NotProved(what)


def same_files(one: Path, other: Path, patterns: Sequence[str]) -> int:
    """How many files of two folders are the same, byte for byte; they must be."""
    names = {path.relative_to(one) for pattern in patterns for path in one.rglob(pattern)}
    expect(bool(names), f"{one} has nothing of {patterns}")
    for name in sorted(names):
        expect((other / name).is_file(), f"{other / name} is not there")
        expect(sha256_of(one / name) == sha256_of(other / name), f"{one / name} and {other / name} differ")
    return len(names)


def same_dataset(name: str, other: str) -> Callable[[Shell], str]:
    """Proof that two datasets have the same shards."""
    return lambda shell: f"{same_files(shell.folder / name, shell.folder / other, ['shard-*.tar'])} shards as {other}"


def same_weights(run: str) -> Callable[[Shell], str]:
    """Proof that a run which was killed exports what one that was not does."""

    def proof(shell: Shell) -> str:
        own, unbroken = (shell.folder / cache / "runs" / "on" / run / "export" for cache in ("cache", "unbroken"))
        count = same_files(own, unbroken, ["*.safetensors"])
        return f"{count} files of weights equal to an unbroken run, sha256 {_first(own)}"

    return proof


def _first(folder: Path) -> str:
    return sha256_of(min(folder.rglob("*.safetensors")))[:12]


def finished(run: str) -> Callable[[Shell], str]:
    """Proof that a run has seen its pictures and exported them."""

    def proof(shell: Shell) -> str:
        place = shell.folder / "cache" / "runs" / "on" / run
        seen = read_json(place / "exported.json")["pictures"]
        return f"{steps_saved(place)} steps, export of {seen} pictures"

    return proof


def stages_possible(report: str, names: Sequence[str]) -> Callable[[Shell], str]:
    """Proof that a dataset can train these stages."""

    def proof(shell: Shell) -> str:
        stages = {one["name"]: one["possible"] for one in read_json(shell.folder / report / "check.json")["stages"]}
        expect(all(stages[name] for name in names), f"{stages} in {report}")
        return f"can train: {', '.join(names)}"

    return proof


def table(report: str, protocol: str) -> Callable[[Shell], str]:
    """Proof that each model has numbers of each network that a protocol's table is read with; it says of how many."""

    def proof(shell: Shell) -> str:
        networks = PRESETS[protocol].networks
        unit = "people" if PRESETS[protocol].protocol == "diversity" else "pictures"
        found, least = read_json(shell.folder / report / "report.json"), list[int]()
        for name, model in found["models"].items():
            counted = {key: one.get("n", 0) for key, one in model["metrics"].items()}
            for network in networks:
                rows = [count for key, count in counted.items() if network.partition("-")[0] in key and count]
                expect(bool(rows), f"{name} has no number of {network} in {report}, only {counted}")
                least.append(max(rows))
        told = f"numbers of {', '.join(networks)} for {', '.join(found['models'])}"
        return f"{told}, each of at least {min(least)} {unit}"

    return proof


def _tensors(path: Path) -> Mapping[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)


def moved(run: str, file: str, other: str) -> Callable[[Shell], str]:
    """Proof that a stage's weights are no longer those of another's, and finite."""

    def proof(shell: Shell) -> str:
        runs = shell.folder / "cache" / "runs" / "on"
        own, before = (_tensors(runs / one / "export" / file) for one in (run, other))
        expect(all(value.isfinite().all() for value in own.values()), f"weights of {run} are not finite")
        changed = sum(not torch.equal(value, before[name]) for name, value in own.items() if name in before)
        expect(changed > 0, f"{run} did not move {file}")
        return f"{changed} of {len(own)} tensors moved from {other.partition('/')[2]}"

    return proof


def stock_picture(name: str, draw: Callable[[Path], Any]) -> Callable[[Shell], str]:
    """Proof that stock diffusers drew what we draw."""

    def proof(shell: Shell) -> str:
        stock = np.asarray(Image.open(shell.folder / name).convert("RGB"), int)
        ours = np.asarray(draw(shell.folder).convert("RGB"), int)
        apart = int(np.abs(stock - ours).max())
        expect(apart <= STOCK, f"{name} is up to {apart} of 255 from our own picture")
        return f"at most {apart} of 255 from our own picture"

    return proof
