"""``mien refuse``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Reader
from mien.cli.say import say

app = typer.Typer(add_completion=False)


@app.command()
def refuse(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Pictures of people who said no.")],
    output: Annotated[Path, typer.Option("--list", metavar="FILE", help="The list; made if it is not there.")],
    bases: Annotated[
        list[str] | None,
        typer.Option("--base", metavar="NAME|FOLDER", help="Bases that read identities; repeat. [default: studio]"),
    ] = None,
    reader: Reader = "auto",
) -> None:
    """Add people to a refusal list: embeddings of their faces, no pictures and no names.

    Every command heeds the list that MIEN_REFUSED names.
    """
    from mien.generation.refusing import add_people

    count = add_people(output, photos, bases or ["studio"], reader)
    say(f"{output}: {count} embeddings. To heed it:  export MIEN_REFUSED={output.absolute()}")
