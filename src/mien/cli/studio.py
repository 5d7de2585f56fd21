"""`mien studio`: synthetic portraits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Synthetic portraits with exact ground truth.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `render` a subcommand while it is the only one."""


@app.command()
def render(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the shards; the same command continues.")],
    people: Annotated[int, typer.Option(min=1, help="Number of people.")] = 100,
    per_person: Annotated[int, typer.Option(min=1, max=1000, help="Pictures of each person.")] = 8,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first person.")] = 0,
    read: Annotated[
        bool | None,
        typer.Option("--read/--no-read", help="Let MediaPipe read every picture (default: if its model is at hand)."),
    ] = None,
    facekit: Annotated[Path | None, typer.Option(help="Face kit .npz; otherwise MIEN_FACEKIT.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes (default: one a core).")] = None,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Side of the pictures in px.")] = 128,
) -> None:
    """Render people x pictures into shards, with captions, masks, landmarks and labels."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mien.studio.dataset import render_dataset

    console = Console(stderr=True)
    columns = (
        TextColumn("rendering"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("render", total=people * per_person, speed="")
        first: list[int] = []

        def progress(done: int, total: int) -> None:
            first[:] = first or [done]
            elapsed = bar.tasks[task].elapsed or 0.0
            speed = f"{(done - first[0]) / elapsed:.1f}/s" if elapsed > 1.0 else ""
            bar.update(task, completed=done, total=total, speed=speed)

        try:
            request = render_dataset(
                people,
                per_person,
                output,
                first_seed,
                workers=workers,
                read=read,
                kit=facekit,
                size=size,
                progress=progress,
            )
        except KeyboardInterrupt:
            bar.stop()
            console.print(f"Stopped; finished shards stay in {output}. The same command continues.")
            raise typer.Exit(130) from None
    console.print(f"{request.pictures} pictures of {request.people} people in {request.shards} shards in {output}")
