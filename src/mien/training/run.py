"""``mien train PRESET``: a preset, its data and its predecessors put together."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.distributed import gather_objects
from mien.core.io import read_json
from mien.core.progress import Bar, silent
from mien.errors import ConfigError
from mien.pipelines.runs import runs_folder
from mien.training.config import WARMUP_SHARE, TrainConfig
from mien.training.presets import SHIPPED, preset

if TYPE_CHECKING:
    from mien.training.objective import Objective, ObjectiveConfig

ON_A_BASE = ("branch", "joint", "controlnet", "alignment", "few_step")
"""Objectives that train something beside a frozen base, whichever it is."""

_OPTION = "options."


def resolve(name: str, overrides: dict[str, Any]) -> TrainConfig:
    """A preset with changed settings.

    Args:
        name: of the preset.
        overrides: settings by name; ``options.KEY`` changes one option of the objective, ``options`` replaces all.

    Raises:
        ConfigError: for an unknown preset or setting, or a value that does not fit.
    """
    try:
        changed = TrainConfig.renamed({key: value for key, value in overrides.items() if not key.startswith(_OPTION)})
        config = TrainConfig.parsed(preset(name).model_dump(exclude_unset=True) | changed, name)
        options = {key.removeprefix(_OPTION): value for key, value in overrides.items() if key.startswith(_OPTION)}
        if not options:
            return config
        options = objective_type(config).config_type.renamed(options)
    except ValueError as error:
        raise ConfigError(f"The settings of {name} are wrong: {error}.") from error
    return config.model_copy(update={"options": config.options | options})


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
    bar: Bar = silent,
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
        bar: makes a progress bar of (total, label).

    Returns:
        What :func:`mien.training.loop.fit` returns.
    """
    import torch

    from mien.data.corpus import Corpus
    from mien.data.needs import check_needs
    from mien.training.loop import fit

    config = resolve(name, overrides or {})
    runs = runs or runs_folder(base)
    torch.manual_seed(config.seed)  # what is new begins with weights of the run's own seed
    objective = build_objective(config, runs, base)
    corpus = Corpus.load(data)
    if held_out is not None:
        corpus.held_out = Corpus.load(held_out)
    for one in (corpus, corpus.held_out):
        if one is not None:
            check_needs(one, stage_needs(config), config.name)
    return fit(config, objective, corpus, runs / config.name, start_from=start_from, minutes=minutes, bar=bar)


def train_all(
    *,
    data: Path,
    held_out: Path | None = None,
    runs: Path | None = None,
    minutes: float | None = None,
    share: float = 1.0,
    overrides: dict[str, Any] | None = None,
    bar: Bar = silent,
) -> dict[str, dict[str, Any]]:
    """Train every preset in order; the same call continues with the first that is not finished.

    Args:
        data: see :func:`train`, as are held_out, runs and bar.
        held_out: for validation.
        runs: folder of runs.
        minutes: of the whole sitting.
        share: of each preset's pictures, e.g. 0.1 for a quick look at the whole chain.
        overrides: changed settings of every preset, e.g. a larger batch for a GPU.
        bar: makes a progress bar of (total, label).

    Returns:
        What :func:`train` returned, by preset, for the stages that this call ran.
    """
    started, results = time.monotonic(), {}
    runs = runs or runs_folder()
    for name, config in SHIPPED.items():
        pictures = max(config.global_batch, round(config.pictures * share))
        warmup = min(config.warmup_images, int(WARMUP_SHARE * pictures))
        if is_finished(runs / name, pictures):
            continue
        left = None if minutes is None else minutes - (time.monotonic() - started) / 60
        if any(gather_objects(left is not None and left <= 0)):  # of all processes, or some would wait for the others
            break
        results[name] = train(
            name, data=data, held_out=held_out, runs=runs, minutes=left, bar=bar,
            overrides={"pictures": pictures, "warmup_images": warmup} | TrainConfig.renamed(overrides or {}),
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


def objective_type(config: TrainConfig) -> type[Objective]:
    """The class of a preset's objective."""
    module, _, name = config.objective.partition(":")
    return getattr(importlib.import_module(f"mien.training.objectives.{module}"), name)


def options_of(config: TrainConfig) -> ObjectiveConfig:
    """The options of a preset's objective.

    Raises:
        ConfigError: if there is an unknown one, or one has a value that does not fit.
    """
    return objective_type(config).config_type.parsed(config.options, f"The options of {config.name}")


def stage_needs(config: TrainConfig) -> tuple[str, ...]:
    """What a preset needs to know of each picture, see `mien.data.needs`."""
    from mien.data.needs import needs_of

    options = options_of(config).model_dump()
    branches = {*options.get("branches", ()), *options.get("companions", ()), options.get("kind")}
    return needs_of(config.objective.partition(":")[2], {str(name) for name in branches})


def build_objective(config: TrainConfig, runs: Path, base: str = "studio") -> Objective:
    """The objective of a preset.

    Args:
        config: the preset.
        runs: where the runs are that it depends on.
        base: see :func:`mien.training.bases.base_parts`.

    Raises:
        ConfigError: if its options do not fit, or it is no stage for another base.
    """
    from mien.assets import embedded_or_none
    from mien.training.bases import base_sources
    from mien.training.sources import Sources

    options = options_of(config)
    if base != "studio" and config.objective.partition(":")[0] not in ON_A_BASE:
        raise ConfigError(f"{config.name} trains no branch on a base: leave --base out.")
    if not config.depends_on:
        return options.build(Sources(()))
    folders = [runs / needed / "export" for needed in config.depends_on]
    embedded = embedded_or_none("studio") if base == "studio" else None
    return options.build(base_sources(base, (*folders, *([embedded] if embedded else []))))
