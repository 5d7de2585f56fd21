"""``mien animate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import PERSON, Base, NoProvenance, Raw, Reader
from mien.cli.say import say_error, say_file

app = typer.Typer(add_completion=False)


@app.command()
def animate(
    identity: Annotated[list[str], PERSON],
    driving: Annotated[
        Path, typer.Option(metavar="VIDEO|FOLDER", help="A video of any face, or a folder of its frames.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="An .mp4, .gif or .webp file.")],
    fps: Annotated[
        float | None,
        typer.Option(
            help="Frames a second to take, the video's own if not given; of a folder its rate.", min=1, max=120
        ),
    ] = None,
    emotion: Annotated[str | None, typer.Option(metavar="NAME:0..1", help="A feeling, in every frame.")] = None,
    prompt: Annotated[str | None, typer.Option(help="What the words say, in every frame.")] = None,
    seed: Annotated[int, typer.Option(help="Of every frame.")] = 0,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps of each frame; 25, except with --speed few.")
    ] = None,
    speed: Annotated[str, typer.Option(metavar="NAME", help="exact, fast or few, see mien generate.")] = "fast",
    scale: Annotated[list[str] | None, typer.Option(metavar="BRANCH=NUMBER", help="See mien generate.")] = None,
    guidance: Annotated[list[str] | None, typer.Option(metavar="DIAL=NUMBER", help="See mien generate.")] = None,
    retarget: Annotated[
        bool,
        typer.Option("--retarget/--no-retarget", help="Landmarks with the person's face shape, or the driving face's."),
    ] = True,
    raw: Raw = False,
    base: Base = "studio",
    reader: Reader = "auto",
    no_provenance: NoProvenance = False,
) -> None:
    """Move a person as the face in a video moves. The same command goes on where it was interrupted.

    Example: mien animate --identity me.jpg --driving friend.mp4 -o me.mp4
    """
    from mien.cli.progress import bar
    from mien.cli.words import numbers
    from mien.generation.request import GenerateRequest, input_fields, weighted_pictures

    people, weights = weighted_pictures(identity, "identity")
    request = GenerateRequest.checked(
        **input_fields(people), weights=weights, emotion=emotion, prompt=prompt, seed=seed, steps=steps, speed=speed,
        scales=numbers(scale, "--scale"), guidance=numbers(guidance, "--guidance"), base=base, reader=reader,
        provenance=not no_provenance,
    )  # fmt: skip
    from mien.generation.animation import animate as draw
    from mien.media.pictures import check_pictures
    from mien.provenance.consent import remind_once

    check_pictures(request.input_files)
    remind_once(say_error)
    say_file(draw(request, driving, output, rate=fps, retarget=retarget and not raw, bar=bar))
