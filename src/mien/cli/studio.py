"""`mien studio`: synthetic portraits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Executor, Facekit, Finish, Part, Workers
from mien.cli.say import say

app = typer.Typer(help="Synthetic portraits with exact ground truth.", no_args_is_help=True, add_completion=False)

Output = Annotated[Path, typer.Option("-o", "--output", help="Folder for the shards; the same command continues.")]
People = Annotated[int, typer.Option(min=1, help="Number of people.")]
PerPerson = Annotated[int, typer.Option(min=1, max=1000, help="Pictures of each person.")]
FirstSeed = Annotated[int, typer.Option(min=0, help="Seed of the first person.")]
Read = Annotated[
    bool | None,
    typer.Option("--read/--no-read", help="Let MediaPipe read every picture (default: if its model is at hand)."),
]
Size = Annotated[int, typer.Option(min=64, max=1024, help="Side of the pictures in px.")]


@app.command(
    "pairs",
    help="The same, each picture with its expression and pose on another person: what expression adapters train on.",
)
@app.command(
    "portraits",
    help="Photographs of the same look for the pictures of `render` with these numbers: what faces are embedded in. "
    "Put them into the folder portraits of the data set.",
)
@app.command("render")
def render(
    context: typer.Context,
    output: Output,
    people: People = 100,
    per_person: PerPerson = 8,
    first_seed: FirstSeed = 0,
    read: Read = None,
    facekit: Facekit = None,
    workers: Workers = None,
    size: Size = 256,
    executor: Executor = "local",
    part: Part = None,
    finish: Finish = False,
) -> None:
    """Render people x pictures into shards, with captions, masks, landmarks and labels."""
    from mien.cli.progress import bar
    from mien.core.stages.execute import parse_part
    from mien.core.stages.trial import POISONED, poisoned
    from mien.data.rendering.dataset import render_dataset

    kind = context.command.name
    try:
        request = render_dataset(
            people, per_person, output, first_seed, workers=workers, read=read, kit=facekit, size=size,
            templates=kind == "pairs", portraits=kind == "portraits", executor=executor, part=parse_part(part),
            finish=finish, bar=bar,
        )  # fmt: skip
    except KeyboardInterrupt:
        say(f"Stopped; finished shards stay in {output}. The same command continues.", error=True)
        raise typer.Exit(130) from None
    if part is not None:
        say(f"Part {part} is done; when all are, the same command with --finish checks them.", error=True)
        return
    if left_out := poisoned(output):
        say(f"{len(left_out)} pictures could not be made and are left out: {output / POISONED}", error=True)
    what = "pictures" if kind == "render" else kind
    say(f"{request.pictures} {what} of {request.people} people in {request.shards} shards in {output}", error=True)
