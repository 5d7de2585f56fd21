"""``mien demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Base, Reader, Speed

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the page goes.")] = Path(
        "demo"
    ),
    base: Base = "studio",
    reader: Reader = "auto",
    speed: Speed = "fast",
    steps: Annotated[int | None, typer.Option(help="Denoising steps; 25, except with --speed few.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all pictures.")] = 1,
) -> None:
    """Make a contact sheet of people by expressions, poses and emotions, measure it, and write a page of it.

    Writes index.html, sheet.png and metrics.json.
    """
    from mien.cli.progress import bar
    from mien.demo.run import run, size_of

    with bar(size_of(), "drawing") as advance:
        page = run(output, base=base, reader=reader, speed=speed, steps=steps, seed=seed, on_picture=advance)
    typer.echo(str(page))
