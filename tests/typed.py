"""Commands as pages show them, parsed as `mien` itself parses them, without being run."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import typer

from mien.cli.main import COMMANDS


def parse(words: Sequence[str]) -> Any:
    """The context of click for what follows ``mien``: ``info_name`` is the last command's, ``params`` what is given.

    Raises:
        KeyError: if there is no such command.
        ClickException: of click, or of the one that typer brings, for options and values that there are not.
    """
    first, *rest = words
    found: Any = typer.main.get_command(importlib.import_module(COMMANDS[first][0]).app)
    name = first
    while hasattr(found, "commands"):
        name, *rest = rest
        found = found.commands[name]
    return found.make_context(name, rest, resilient_parsing=False)
