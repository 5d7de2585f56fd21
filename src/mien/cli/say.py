"""What commands print: the one place from which text reaches the output and the error stream.

Names and words out of foreign files are among it, so that every line goes through `mien.core.text.printable`.
"""

from __future__ import annotations

import json
from pathlib import Path

import typer

from mien.core.text import printable


def say(line: str = "", error: bool = False) -> None:
    """Print one line; line ends and control characters within it are escaped.

    Args:
        line: text.
        error: print it on the error stream.
    """
    typer.echo(printable(line), err=error)


def say_error(line: str) -> None:
    """Print one line on the error stream: for what takes a function of the words alone."""
    say(line, error=True)


def say_text(text: str) -> None:
    """Print several lines; everything but their ends is escaped as in `say`."""
    typer.echo(printable(text, keep="\n"))


def say_json(value: object, ensure_ascii: bool = True) -> None:
    """Print a value as JSON, indented by 2; what would be escaped in a line stays JSON of the same meaning."""
    say_text(json.dumps(value, indent=2, ensure_ascii=ensure_ascii))


def say_file(file: Path) -> None:
    """Print the path of a file that was written, as it is: it is the user's own name, and scripts open it."""
    typer.echo(str(file))
