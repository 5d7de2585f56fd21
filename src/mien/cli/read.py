"""``mien read``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Reader

app = typer.Typer(add_completion=False)


@app.command()
def read(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A picture with a face.")],
    reader: Reader = "auto",
    landmarks: Annotated[bool, typer.Option("--landmarks", help="Print the 478 points as well.")] = False,
) -> None:
    """Print, as JSON, what the face reader sees in a picture: pose, blendshapes, emotion, attributes."""
    import json

    from mien.faces.described import describe
    from mien.faces.open import open_reader
    from mien.media.pictures import open_picture

    image = open_picture(photo)
    reading = open_reader(reader).read(image, str(photo))
    largest = reading.face()
    found = describe(largest, landmarks) | {"faces": len(reading.faces), "size": list(image.size)}
    typer.echo(json.dumps(found, indent=2))
