"""``mien read``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Reader
from mien.cli.say import say_json
from mien.errors import BadInput

log = logging.getLogger(__name__)

app = typer.Typer(add_completion=False)


@app.command()
def read(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A picture with a face.")],
    reader: Reader = "auto",
    landmarks: Annotated[bool, typer.Option("--landmarks", help="Print the 478 points as well.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PNG", help="Draw what was found on the picture, into this file."),
    ] = None,
) -> None:
    """Print, as JSON, what the face reader sees in a picture: pose, blendshapes, emotion, attributes."""
    from mien.core.io import atomic_path, check_apart, check_writable
    from mien.faces.described import describe
    from mien.faces.open import open_reader
    from mien.media.pictures import check_pictures, open_picture

    check_pictures([photo])
    if output is not None:
        if output.suffix.lower() != ".png":
            raise BadInput(f"The picture with what was found is a PNG file: give  -o {output.with_suffix('.png')}.")
        check_apart([output], [photo])
        check_writable([output])
    image = open_picture(photo)
    reading = open_reader(reader).read(image, str(photo))
    for face in reading.faces:
        log.info("face at %s, score %.2f, read by %s", [round(value) for value in face.box], face.score, face.reader)
    used = reading.face()
    if output is not None:
        from mien.faces.marking import mark_faces

        with atomic_path(output) as temporary:
            mark_faces(image, reading.faces).save(temporary, format="PNG")
    found = describe(used, landmarks) | {"faces": len(reading.faces), "size": list(image.size)}
    say_json(found)
