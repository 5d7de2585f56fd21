"""`mien facekit`: the morphable model that the studio uses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def facekit() -> None:
    """The morphable model that the studio uses."""


@app.command()
def convert(
    folder: Annotated[
        Path, typer.Argument(help="A copy of the public ICT-FaceKit (its FaceXModel folder of .obj files).")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .npz to write.")] = Path("facekit.npz"),
) -> None:
    """Convert the public kit's .obj files into the one file that the studio reads."""
    from rich.console import Console
    from rich.progress import Progress

    from mien.studio.convert import convert_facekit
    from mien.studio.kit import FaceKit

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading")
        path = convert_facekit(folder, output, lambda done, total: bar.update(task, completed=done, total=total))
    kit = FaceKit.load(path)
    shapes = f"{len(kit.identity)} identity and {len(kit.expression)} expression shapes"
    typer.echo(f"{path}: {len(kit.neutral)} vertices, {shapes}")
