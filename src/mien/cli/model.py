"""``mien model``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Json
from mien.cli.say import say, say_json

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def model() -> None:
    """Facts about the models."""


@app.command()
def info(
    base: Annotated[str, typer.Option(metavar="NAME", help="studio, sd15 or sdxl.")] = "studio",
    as_json: Json = False,
) -> None:
    """Parameters of each part, counted from its configuration: no weights are loaded."""
    from mien.adapters import counts

    parameters = counts(base)
    if as_json:
        say_json({"parameters": parameters})
        return
    for part, number in parameters.items():
        say(f"{part:<12}{number:>15,}")


@app.command()
def convert(
    adapter: Annotated[Path, typer.Argument(metavar="FILE", help="mien's, IP-Adapter's, FaceID's or Arc2Face's.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="A .safetensors file to write.")],
    base: Annotated[str, typer.Option(metavar="NAME|FOLDER", help="Whose: studio, sd15, sdxl, arc2face, a folder.")],
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="mien, or ip-adapter, which stock diffusers loads.")
    ] = "mien",
    branch: Annotated[str | None, typer.Option(metavar="NAME", help="Which, if the file holds several.")] = None,
    half: Annotated[bool, typer.Option("--half", help="Store float16.")] = False,
) -> None:
    """Write an adapter file in another layout; pickles become safetensors.

    Example: mien model convert expression.safetensors --base sd15 --layout ip-adapter -o ip_adapter.safetensors
    """
    from mien.adapters.convert import convert_adapter

    for name in convert_adapter(adapter, output, base, layout, branch, half):
        say(name)


@app.command()
def publish(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder of the model.")],
    runs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of runs; else in the user's cache folder.")
    ] = None,
) -> None:
    """Collect what `mien train` made into one model that --base takes; at most 85 MB."""
    from mien.pipelines.runs import runs_folder
    from mien.training.publish import publish as collect

    for name, entry in collect(runs or runs_folder(), output).items():
        say(f"{name:<26}{entry['pictures']:>10,} pictures")


@app.command()
def assemble(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="A new folder.")],
    model: Annotated[
        str, typer.Option(metavar="SPEC", help="A spec of ours or a JSON file: base, adapters, text encoder.")
    ] = "facecrafter-arc2face",
    half: Annotated[bool, typer.Option("--half", help="Store float16.")] = False,
) -> None:
    """Put a base and what was trained on it into one folder, which --base and stock diffusers open.

    Example: mien model assemble --model facecrafter-arc2face -o facecrafter
    """
    from mien.generation.assemble import assemble as build
    from mien.pipelines.spec import load_spec

    about = build(load_spec(model), output, half)
    say(f"{len(about['models'])} files of the model {model} in {output}")
