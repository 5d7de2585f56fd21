"""``mien demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Base, Reader, Speed
from mien.cli.say import say, say_file

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

    Writes index.html, sheet.png, metrics.json, and into pictures/ each picture as soon as it is drawn.
    """
    from functools import partial

    from mien.cli.progress import bar

    say("loading the model", error=True)  # seconds, in which there is nothing to count
    from mien.bench.stamp import command_line, stamp
    from mien.demo.run import run

    shown = partial(bar, seconds=2.0)  # everybody waits for a demo
    how = {"base": base, "reader": reader, "speed": speed, "steps": steps, "seed": seed}
    say_file(run(output, **how, bar=shown, made_by=stamp(command_line())))
