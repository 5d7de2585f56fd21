"""What a run was begun with, which the one that continues it must have too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.config import TrainConfig


def origin_of(config: TrainConfig, corpus: Corpus | None, processes: int) -> dict[str, Any]:
    """What decides the batches of a run."""
    return {
        "data": "" if corpus is None else corpus.digest, "global_batch": config.global_batch, "seed": config.seed,
        "processes": processes,
    }  # fmt: skip


def check_origin(
    config: TrainConfig, counters: dict[str, Any], corpus: Corpus | None, processes: int, folder: Path
) -> None:
    """Hold the counters of a run against what continues it; they are brought up to date.

    A run of before this was checked is taken to have been begun as it is continued.

    Raises:
        ConfigError: naming what differs and is not in ``may_change``.
    """
    now = origin_of(config, corpus, processes)
    begun = counters.get("origin", now)
    changed = [name for name, value in now.items() if begun.get(name, value) != value and name not in config.may_change]
    if changed:
        said = ", ".join(
            "other data" if name == "data" else f"{name} {begun[name]}, not {now[name]}" for name in changed
        )
        raise ConfigError(
            f"The run in {folder} was begun with {said}: continue it as it was, say that it may differ with  --set "
            f"'may_change={_listed(changed)}',  or begin in another folder."
        )
    counters["origin"] = now


def _listed(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
