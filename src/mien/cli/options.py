"""Options that several commands share; the headings are those under which ``mien generate --help`` lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

HOW: Final = "How"
FILES: Final = "Files"

PERSON: Any = typer.Option(metavar="PHOTO[:WEIGHT]", help="Picture of the person to draw; repeat for more, or to mix.")
"""Whether it is required is each command's own."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reader = Annotated[
    str, typer.Option(metavar="NAME", help="Who reads faces: auto, mediapipe or studio.", rich_help_panel=HOW)
]
Networks = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Also read with this: arcface, inception ...; repeat.")
]
NoProvenance = Annotated[
    bool, typer.Option("--no-provenance", help="Write neither metadata nor the invisible mark.", rich_help_panel=FILES)
]
Facekit = Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")]
