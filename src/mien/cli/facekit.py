"""`mien facekit`: the morphable model that the studio uses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.say import say

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
    from mien.cli.progress import bar
    from mien.studio.convert import convert_facekit
    from mien.studio.kit import FaceKit

    path = convert_facekit(folder, output, bar)
    kit = FaceKit.load(path)
    shapes = f"{len(kit.identity)} identity and {len(kit.expression)} expression shapes"
    say(f"{path}: {len(kit.neutral)} vertices, {shapes}")
