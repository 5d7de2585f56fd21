"""``mien train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mien.cli.options import finite
from mien.cli.say import say, say_text

app = typer.Typer(add_completion=False)


@app.command()
def train(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="Name of a preset; all: every one in order.")],
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A rendered set, made by: mien studio render.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A rendered set of people not trained on, for validation.")
    ] = None,
    base: Annotated[
        str,
        typer.Option(
            metavar="NAME|FOLDER", help="What branches are trained on: studio, sd15, sdxl, arc2face, a folder."
        ),
    ] = "studio",
    runs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where runs are kept; else in the user's cache folder.")
    ] = None,
    init: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Begin with the weights of a model folder, or: embedded.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, callback=finite, help="Stop after this long; the same command continues later."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a setting, or with options.KEY an option, of the preset; repeat."
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option(min=1e-6, max=100.0, callback=finite, help="With all: this share of each preset's pictures."),
    ] = 1.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the settings and print them as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar, and no lines in its place.")] = False,
) -> None:
    """Train one of the presets. The same command continues where it stopped."""
    from mien.cli.progress import bar
    from mien.core.io import check_writable
    from mien.core.progress import silent
    from mien.errors import BadInput
    from mien.pipelines.runs import runs_folder
    from mien.training.presets import SHIPPED
    from mien.training.run import options_of, resolve, train_all
    from mien.training.run import train as run

    overrides = dict(setting(word) for word in settings or [])
    for name in SHIPPED if preset == "all" else [preset]:
        config = resolve(name, overrides)
        options_of(config)
        if preset != "all" and (warning := config.warning()) is not None:
            say(f"Warning: {warning}", error=True)
        if dry_run:
            say_text(config.model_dump_json(indent=2))
    if dry_run:
        return
    if data is None:
        raise BadInput(
            "Training needs a rendered set: make one with  mien studio render -o FOLDER  and give --data FOLDER."
        )
    check_writable([(runs or runs_folder()) / "any" / "any"])  # before the data are read
    shown = silent if quiet else bar
    if preset == "all":
        if init or base != "studio":
            raise BadInput("--init and --base belong to one preset; train it by its name.")
        results = train_all(
            data=data, held_out=held_out, runs=runs, minutes=minutes, share=share, overrides=overrides, bar=shown
        )
        for name, result in results.items():
            say(f"{name:<28}{result['seen']:>9} pictures  {result['logs']}")
        return
    result = run(
        preset, data=data, held_out=held_out, base=base, runs=runs, start_from=model_folder(init) if init else None,
        minutes=minutes, overrides=overrides, bar=shown,
    )  # fmt: skip
    for name, value in result.items():
        say(f"{name:<16}{value}")


def model_folder(word: str) -> Path:
    """The folder ``--init`` names."""
    from mien.assets import embedded
    from mien.errors import BadInput

    folder = embedded("studio") if word == "embedded" else Path(word)
    if not folder.is_dir():
        raise BadInput(f"--init {word} is no folder: give a run's export folder, or the word embedded.")
    return folder


def setting(word: str) -> tuple[str, Any]:
    """(key, value) of ``key=value``; the value is JSON where it parses as such, else the words themselves."""
    import json

    from mien.errors import BadInput

    key, equals, text = word.partition("=")
    if not equals or not key.strip():
        raise BadInput(f"Write --set as KEY=VALUE, not {word!r}.")
    try:
        return key.strip(), json.loads(text)
    except json.JSONDecodeError:
        return key.strip(), text
