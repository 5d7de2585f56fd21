"""How a benchmark ends: as ``mien`` does, with a sentence and 2 for a user's error, and 130 when interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from mien.errors import MienError


@contextmanager
def exit_codes() -> Iterator[None]:
    """End the program for what is raised inside."""
    try:
        yield
    except MienError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        typer.echo("Interrupted; the same command goes on from what is there.", err=True)
        raise typer.Exit(130) from error
