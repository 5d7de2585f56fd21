"""``mien sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import PERSON, Base, NoProvenance
from mien.cli.say import say_error, say_file

app = typer.Typer(add_completion=False)


@app.command()
def sweep(
    identity: Annotated[list[str] | None, PERSON] = None,
    expression: Annotated[
        Path | None, typer.Option(metavar="PHOTO", help="Picture of a face whose expression stays.")
    ] = None,
    expression_strength: Annotated[
        str | None, typer.Option(metavar="FROM..TO", help="That expression weaker and stronger, e.g. 0..1.5.")
    ] = None,
    emotion_path: Annotated[
        str | None, typer.Option(metavar="FROM..TO", help="From one feeling to another, e.g. happy..angry.")
    ] = None,
    emotion_grid: Annotated[
        int | None, typer.Option(metavar="SIDE", help="The valence-arousal plane, SIDE x SIDE pictures.", min=2, max=15)
    ] = None,
    yaw: Annotated[str | None, typer.Option(metavar="FROM..TO", help="Head turned, degrees, e.g. -40..40.")] = None,
    pitch: Annotated[str | None, typer.Option(metavar="FROM..TO", help="Head up and down, degrees.")] = None,
    roll: Annotated[str | None, typer.Option(metavar="FROM..TO", help="Head tilted, degrees.")] = None,
    blendshape: Annotated[
        str | None, typer.Option(metavar="NAME=FROM..TO", help="One part of the face, e.g. jawOpen=0..0.8.")
    ] = None,
    count: Annotated[int, typer.Option("--steps", help="Pictures of the row.", min=2, max=60)] = 7,
    prompt: Annotated[str | None, typer.Option(help="What the words say, for all pictures.")] = None,
    seed: Annotated[int, typer.Option(help="Of all pictures.")] = 0,
    denoising_steps: Annotated[int | None, typer.Option(help="Denoising steps; 25, except with --speed few.")] = None,
    speed: Annotated[str, typer.Option(metavar="NAME", help="exact, fast or few, see mien generate.")] = "fast",
    base: Base = "studio",
    no_provenance: NoProvenance = False,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the PNG files go.")] = Path(
        "sweep"
    ),
) -> None:
    """One person, one seed, one control changed step by step: single pictures and sweep.png with all of them.

    Example: mien sweep --identity me.jpg --emotion-path happy..angry --steps 7 -o row
    """
    from mien.cli.progress import bar
    from mien.errors import BadInput
    from mien.generation.request import GenerateRequest, input_fields, weighted_pictures
    from mien.generation.sweep import ANGLES, angle_stops, blendshape_stops, emotion_stops, grid_stops, strength_stops
    from mien.generation.sweep import sweep as draw

    angles = {name: text for name, text in zip(ANGLES, (yaw, pitch, roll), strict=True) if text is not None}
    others = (emotion_path, emotion_grid, blendshape, expression_strength)
    if len(angles) + sum(one is not None for one in others) != 1:
        raise BadInput(
            "Choose what to change: --emotion-path, --emotion-grid, --yaw, --pitch, --roll, --blendshape or "
            "--expression-strength."
        )
    if angles:
        stops = angle_stops(*next(iter(angles.items())), count)
    elif expression_strength is not None:
        stops = strength_stops(expression_strength, count)
    elif blendshape is not None:
        stops = blendshape_stops(blendshape, count)
    else:
        stops = emotion_stops(emotion_path, count) if emotion_path is not None else grid_stops(emotion_grid or 2)
    people, weights = weighted_pictures(identity or [], "identity")
    request = GenerateRequest.checked(
        **input_fields({"expression": expression, **people}),
        **{"weights": weights, "prompt": prompt, "seed": seed, "steps": denoising_steps, "speed": speed,
           "base": base, "provenance": not no_provenance, "output": output, **stops[0].changes},
    )  # fmt: skip
    if people:
        from mien.media.pictures import check_pictures
        from mien.provenance.consent import remind_once

        check_pictures(request.input_files)
        remind_once(say_error)
    with bar(len(stops), "drawing") as advance:
        files = draw(request, stops, emotion_grid, progress=advance)
    for file in files:
        say_file(file)
