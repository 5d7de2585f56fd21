"""``mien train PRESET``: a preset, its data and its predecessors put together."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mien.errors import ConfigError
from mien.io import cache_folder
from mien.training.config import TrainConfig
from mien.training.presets import preset
from mien.training.sources import Sources


def runs_folder() -> Path:
    """Where runs are kept unless told otherwise."""
    return cache_folder() / "runs"


def resolve(name: str, overrides: dict[str, Any]) -> TrainConfig:
    """A preset with changed settings.

    Raises:
        ConfigError: for an unknown preset or setting, or a value that does not fit.
    """
    config = preset(name)
    try:
        return TrainConfig.model_validate(config.model_dump() | overrides)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"Setting '{where}' of {name} is wrong: {first['msg']}.") from error


def train(
    name: str,
    *,
    data: Path,
    held_out: Path | None = None,
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
        runs: folder of runs; each preset has its own in it. Default: in the user's cache folder.
        start_from: model folder (an export, the embedded model) whose weights a new run begins with.
        minutes: stop (and export the average so far) after this long.
        overrides: changed settings of the preset.
        quiet: no progress bar.

    Returns:
        What :func:`mien.training.loop.fit` returns.
    """
    from mien.data.corpus import Corpus
    from mien.training.loop import fit

    config = resolve(name, overrides or {})
    runs = runs or runs_folder()
    objective = build_objective(config, runs)
    corpus = Corpus.load(data)
    if held_out is not None:
        corpus.held_out = Corpus.load(held_out)
    return fit(config, objective, corpus, runs / config.name, start_from=start_from, minutes=minutes, quiet=quiet)


def build_objective(config: TrainConfig, runs: Path) -> Any:
    """The objective of a preset.

    Raises:
        ConfigError: if its options have an unknown key.
    """
    from mien.assets import embedded_or_none

    module, _, name = config.objective.partition(":")
    cls = getattr(importlib.import_module(f"mien.training.objectives.{module}"), name)
    options = dict(config.options)
    if config.needs:
        folders = [runs / needed / "export" for needed in config.needs]
        embedded = embedded_or_none("studio")
        options["sources"] = Sources((*folders, *([embedded] if embedded else [])))
    try:
        return cls(**options)
    except TypeError as error:
        raise ConfigError(f"The options of {config.name} do not fit {name}: {error}.") from error
