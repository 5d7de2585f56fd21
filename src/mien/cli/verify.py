"""``mien verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Json
from mien.cli.say import say, say_json

app = typer.Typer(add_completion=False)


@app.command()
def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pictures or videos.")],
    anchors: Annotated[
        Path | None, typer.Option("--trust", metavar="PEM", help="Certificates whose signers are trusted (C2PA).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge where pictures come from, by record, watermark and signature.

    Exit code 0 if every file speaks for mien and nothing speaks against it, else 1.
    """
    from mien.provenance.verdict import WORDS
    from mien.provenance.verdict import verify as judge

    verdicts = {file: judge(file, anchors) for file in files}
    if as_json:
        found = [
            {"file": str(file), "finding": one.finding, "made_here": one.made_here, "reasons": list(one.reasons)}
            for file, one in verdicts.items()
        ]
        say_json(found, ensure_ascii=False)
    else:
        for file, one in verdicts.items():
            say(f"{file}: {WORDS[one.finding]}")
            for reason in one.reasons:
                say(f"    {reason}")
    if not all(one.made_here for one in verdicts.values()):
        raise typer.Exit(1)
