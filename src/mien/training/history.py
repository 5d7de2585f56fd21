"""Reading runs: where each stands, what it was made with, and its curves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mien.core.io import read_json
from mien.core.log import read_lines
from mien.errors import BadInput, MienError
from mien.training.guard import SKIPPED
from mien.training.state import EXPORTED, counters_of

Curve = list[tuple[float, float]]
"""(pictures seen, value)."""
LOG, CONFIG = "log.jsonl", "config.json"


@dataclass(frozen=True)
class RunHistory:
    """A run as its folder tells it.

    Attributes:
        name: of the folder, or its place among others.
        config: its settings.
        seen: pictures; those after the last checkpoint count too.
        seconds: over all sittings.
        finished: its export is made of all its pictures.
        skipped: steps that the guard skipped.
        best: {"seen", "score"} of the best checkpoint; empty without.
        curves: logged number -> curve; those of validations begin with ``gaps/``.
        validation: what the last validation found.
    """

    name: str
    config: dict[str, Any]
    seen: int = 0
    seconds: float = 0.0
    finished: bool = False
    skipped: int = 0
    best: dict[str, float] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)

    @property
    def pictures(self) -> int:
        """That the run is to see."""
        return int(self.config.get("pictures", 0))

    def last(self, name: str) -> float | None:
        """The newest value of a curve."""
        return self.curves[name][-1][1] if self.curves.get(name) else None


def run_history(folder: Path) -> RunHistory:
    """Read a run.

    Raises:
        BadInput: if the folder holds none, or its log is damaged.
    """
    if not (folder / CONFIG).is_file():
        raise BadInput(f"{folder} is no run of  mien train: it has no {CONFIG}.")
    config = read_json(folder / CONFIG)
    seen, seconds, validation, curves = 0, 0.0, {}, {}
    for line in read_lines(folder / LOG):
        seen, seconds = int(line["seen"]), float(line["seconds"])
        validation = line.get("validation", validation)
        values = {f"gaps/{name}": value for name, value in line.get("gaps", {}).items()} or line
        for name, value in values.items():
            if name not in ("seen", "seconds") and isinstance(value, int | float):
                curve: Curve = curves.setdefault(name, [])
                while curve and curve[-1][0] >= seen:  # of steps that were made again after a checkpoint
                    curve.pop()
                curve.append((seen, float(value)))
    exported = read_json(folder / EXPORTED)["pictures"] if (folder / EXPORTED).exists() else 0
    counters = counters_of(folder) or {}
    return RunHistory(
        folder.name, config, seen, seconds, exported >= int(config.get("pictures", 0)) > 0,
        len(read_lines(folder / SKIPPED)), counters.get("best") or {}, curves, validation,
    )  # fmt: skip


def runs_in(folder: Path) -> list[RunHistory]:
    """All runs of a folder, those on other bases too, by their place in it; of one whose log is damaged that alone."""
    found = []
    for file in sorted([*folder.glob(f"*/{CONFIG}"), *folder.glob(f"on/*/*/{CONFIG}")]):
        name = file.parent.relative_to(folder).as_posix()
        try:
            found.append(replace(run_history(file.parent), name=name))
        except MienError:
            found.append(RunHistory(name, {}))
    return found


def differing_settings(runs: list[RunHistory]) -> dict[str, list[Any]]:
    """Setting -> its value in each run, of those that are not the same in all; options one by one."""
    flat = [
        {name: value for name, value in run.config.items() if name not in ("name", "options")}
        | {f"options.{name}": value for name, value in run.config.get("options", {}).items()}
        for run in runs
    ]
    names = dict.fromkeys(name for one in flat for name in one)
    rows = {name: [one.get(name) for one in flat] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}
