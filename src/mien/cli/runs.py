"""``mien runs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.options import Json
from mien.cli.say import say, say_json

if TYPE_CHECKING:
    from mien.training.history import RunHistory

app = typer.Typer(add_completion=False, no_args_is_help=True)

Runs = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where runs are kept; else in the user's cache.")]
Picture = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where the curves go, an SVG picture.")
]
FIRST = ("loss", "grad_norm", "lr", "images_per_second", "memory_mb", "weight_change")
"""Curves that are shown before those of validations."""


@app.callback()
def runs() -> None:
    """Runs of mien train: where they stand, their curves, and how they differ."""


@app.command("list")
def list_runs(runs: Runs = None, as_json: Json = False) -> None:
    """All runs of a folder, one a line."""
    from mien.errors import BadInput
    from mien.pipelines.runs import runs_folder
    from mien.training.history import runs_in

    folder = runs or runs_folder()
    found = runs_in(folder)
    if not found:
        raise BadInput(f"There are no runs in {folder}: make one with  mien train PRESET --data FOLDER.")
    if as_json:
        say_json([_summary(run) for run in found])
        return
    wide = max(len(run.name) for run in found) + 2
    say(f"{'run':<{wide}}{'state':<11}{'pictures':>20}{'hours':>8}{'loss':>10}{'best':>10}{'skipped':>9}")
    for run in found:
        state = "finished" if run.finished else "unfinished"
        seen = f"{run.seen:,} of {run.pictures:,}"
        say(
            f"{run.name:<{wide}}{state:<11}{seen:>20}{run.seconds / 3600:>8.2f}{_number(run.last('loss')):>10}"
            f"{_number(run.best.get('score')):>10}{run.skipped:>9}"
        )


@app.command()
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its name, or its folder.")],
    output: Picture = None,
    runs: Runs = None,
    as_json: Json = False,
) -> None:
    """Say where a run stands and draw its curves, into its own folder if no other file is given."""
    from mien.core.io import write_text
    from mien.training.curves import panels
    from mien.training.history import run_history

    folder = _folder(run, runs)
    found = run_history(folder)
    place = output or folder / "curves.svg"
    names = [name for name in (*FIRST, *found.curves) if name in found.curves]
    write_text(place, panels({name: {found.name: found.curves[name]} for name in dict.fromkeys(names)}))
    if as_json:
        say_json(_summary(found) | {"config": found.config, "curves": str(place)})
        return
    for name, value in _summary(found).items():
        say(f"{name:<20}{value}")
    say(f"{'curves':<20}{place}")


@app.command()
def compare(
    names: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Names or folders of runs.")],
    output: Picture = None,
    runs: Runs = None,
    as_json: Json = False,
) -> None:
    """Print the settings and results in which runs differ, and draw their curves on top of each other."""
    from mien.core.io import write_text
    from mien.errors import BadInput
    from mien.training.curves import panels
    from mien.training.history import differing_settings, run_history

    if len(names) < 2:
        raise BadInput("Name at least two runs to compare.")
    found = [run_history(_folder(name, runs)) for name in names]
    titles = [run.name if sum(other.name == run.name for other in found) == 1 else name
              for run, name in zip(found, names, strict=True)]  # fmt: skip
    place = output or Path("runs.svg")
    curves = dict.fromkeys(name for name in FIRST if any(name in run.curves for run in found))
    curves |= dict.fromkeys(name for run in found for name in run.curves)
    charts = {
        name: {title: run.curves[name] for title, run in zip(titles, found, strict=True) if name in run.curves}
        for name in curves
    }
    write_text(place, panels(charts))
    settings = differing_settings(found)
    results: dict[str, list[Any]] = {"pictures": [run.seen for run in found], "loss": [r.last("loss") for r in found]}
    for name in dict.fromkeys(name for run in found for name in run.validation):
        results[name] = [run.validation.get(name) for run in found]
    if as_json:
        say_json({"runs": titles, "settings": settings, "results": results, "curves": str(place)})
        return
    _table("settings", titles, settings)
    _table("results", titles, results)
    say(f"curves  {place}")


def _folder(name: str, runs: Path | None) -> Path:
    """The folder of a run: a path, or a name among the runs."""
    from mien.pipelines.runs import runs_folder

    inside = (runs or runs_folder()) / name
    return inside if inside.is_dir() or not Path(name).is_dir() else Path(name)


def _summary(run: RunHistory) -> dict[str, Any]:
    return {
        "name": run.name, "finished": run.finished, "seen": run.seen, "pictures": run.pictures,
        "seconds": run.seconds, "loss": run.last("loss"), "images_per_second": run.last("images_per_second"),
        "memory_mb": run.last("memory_mb"), "skipped": run.skipped, "best": run.best, "validation": run.validation,
    }  # fmt: skip


def _table(title: str, names: list[str], rows: dict[str, list[Any]]) -> None:
    wide = max([len(title), *map(len, rows)]) + 2
    cells = {name: [_number(value) for value in row] for name, row in rows.items()}
    columns = [max([len(name), *(len(row[at]) for row in cells.values())]) + 2 for at, name in enumerate(names)]
    say(f"{title:<{wide}}" + "".join(f"{name:>{width}}" for name, width in zip(names, columns, strict=True)))
    for name, row in cells.items():
        say(f"{name:<{wide}}" + "".join(f"{cell:>{width}}" for cell, width in zip(row, columns, strict=True)))
    say()


def _number(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
