"""``mien train PRESET``: a preset, its data and its predecessors put together."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mien.core.distributed import gather_objects
from mien.core.io import read_json
from mien.errors import ConfigError, first_problem
from mien.pipelines.runs import runs_folder
from mien.training.config import TrainConfig
from mien.training.presets import SHIPPED, preset

ON_A_BASE = ("branch", "joint", "controlnet", "alignment", "few_step")
"""Objectives that train something beside a frozen base, whichever it is."""


def resolve(name: str, overrides: dict[str, Any]) -> TrainConfig:
    """A preset with changed settings.

    Raises:
        ConfigError: for an unknown preset or setting, or a value that does not fit.
    """
    config = preset(name)
    try:
        return TrainConfig.model_validate(config.model_dump() | overrides)
    except ValidationError as error:
        where, what, _ = first_problem(error)
        raise ConfigError(f"Setting '{where}' of {name} is wrong: {what}.") from error


def train(
    name: str,
    *,
    data: Path,
    held_out: Path | None = None,
    base: str = "studio",
    runs: Path | None = None,
    start_from: Path | None = None,
    minutes: float | None = None,
    overrides: dict[str, Any] | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a preset, or continue it.

    Args:
        name: preset.
        data: folder of ``mien studio render``.
        held_out: the same for people never trained on; validation is skipped without it.
        base: what a branch is trained on: ``studio``, ``sd15``, ``sdxl``, ``arc2face`` or a folder as diffusers'.
        runs: folder of runs; each preset has its own in it. Default: in the user's cache folder.
        start_from: model folder (an export, the embedded model) whose weights a new run begins with.
        minutes: stop (and export the average so far) after this long.
        overrides: changed settings of the preset.
        quiet: no progress bar.

    Returns:
        What :func:`mien.training.loop.fit` returns.
    """
    import torch

    from mien.data.corpus import Corpus
    from mien.training.loop import fit

    config = resolve(name, overrides or {})
    runs = runs or runs_folder(base)
    torch.manual_seed(config.seed)  # what is new begins with weights of the run's own seed
    objective = build_objective(config, runs, base)
    corpus = Corpus.load(data)
    if held_out is not None:
        corpus.held_out = Corpus.load(held_out)
    return fit(config, objective, corpus, runs / config.name, start_from=start_from, minutes=minutes, quiet=quiet)


def train_all(
    *,
    data: Path,
    held_out: Path | None = None,
    runs: Path | None = None,
    minutes: float | None = None,
    share: float = 1.0,
    overrides: dict[str, Any] | None = None,
    quiet: bool = False,
) -> dict[str, dict[str, Any]]:
    """Train every preset in order; the same call continues with the first that is not finished.

    Args:
        data: see :func:`train`, as are held_out, runs and quiet.
        held_out: for validation.
        runs: folder of runs.
        minutes: of the whole sitting.
        share: of each preset's pictures, e.g. 0.1 for a quick look at the whole chain.
        overrides: changed settings of every preset, e.g. a larger batch for a GPU.
        quiet: no progress bars.

    Returns:
        What :func:`train` returned, by preset, for the stages that this call ran.
    """
    started, results = time.monotonic(), {}
    runs = runs or runs_folder()
    for name, config in SHIPPED.items():
        pictures = max(config.batch, round(config.pictures * share))
        if is_finished(runs / name, pictures):
            continue
        left = None if minutes is None else minutes - (time.monotonic() - started) / 60
        if any(gather_objects(left is not None and left <= 0)):  # of all processes, or some would wait for the others
            break
        results[name] = train(
            name, data=data, held_out=held_out, runs=runs, minutes=left, quiet=quiet,
            overrides={"pictures": pictures} | (overrides or {}),
        )  # fmt: skip
        if not results[name]["finished"]:
            break
    return results


def is_finished(folder: Path, pictures: int) -> bool:
    """Whether a run has seen its pictures and its export is made of them.

    An older run does not say what its export was made of: it is exported once more, and is finished then.
    """
    from mien.training.state import EXPORTED, counters_of

    exported = read_json(folder / EXPORTED)["pictures"] if (folder / EXPORTED).exists() else 0
    return min((counters_of(folder) or {}).get("seen", 0), exported) >= pictures


def build_objective(config: TrainConfig, runs: Path, base: str = "studio") -> Any:
    """The objective of a preset.

    Args:
        config: the preset.
        runs: where the runs it needs are.
        base: see :func:`mien.training.bases.base_parts`.

    Raises:
        ConfigError: if its options have an unknown key, or it is no stage for another base.
    """
    from mien.assets import embedded_or_none
    from mien.training.bases import base_sources

    module, _, name = config.objective.partition(":")
    if base != "studio" and module not in ON_A_BASE:
        raise ConfigError(f"{config.name} trains no branch on a base: leave --base out.")
    cls = getattr(importlib.import_module(f"mien.training.objectives.{module}"), name)
    options = dict(config.options)
    if config.needs:
        folders = [runs / needed / "export" for needed in config.needs]
        embedded = embedded_or_none("studio") if base == "studio" else None
        options["sources"] = base_sources(base, (*folders, *([embedded] if embedded else [])))
    try:
        return cls(**options)
    except TypeError as error:
        raise ConfigError(f"The options of {config.name} do not fit {name}: {error}.") from error
