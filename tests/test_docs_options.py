"""The options that docs/cli.md lists are those of the commands.

``MIEN_UPDATE_SNAPSHOTS=1 pytest tests/test_docs_options.py`` writes the list anew.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from mien.cli.main import COMMANDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
BEGIN = "<!-- the options of the commands; MIEN_UPDATE_SNAPSHOTS=1 pytest tests/test_docs_options.py -->\n"
END = "<!-- end of the options -->\n"


def commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """A command, or those of a group, with their names."""
    if hasattr(command, "commands"):
        for word, part in command.commands.items():
            yield from commands(f"{name} {word}", part)
    else:
        yield name, command


def row(parameter: Any) -> str:
    """A line of a table: how a parameter is given, and our own sentence; releases of typer differ in the rest."""
    if parameter.param_type_name == "argument":
        given = f"`{parameter.metavar or parameter.name.upper()}`"
    else:
        words = " ".join(sorted(parameter.opts, key=len) + sorted(parameter.secondary_opts))
        given = f"`{words} {parameter.metavar}`" if parameter.metavar else f"`{words}`"
    return "| {} | {} |".format(*(text.replace("|", "\\|") for text in (given, (parameter.help or "").strip())))


def options() -> str:
    """The tables of all commands."""
    tables = []
    for first, (module, _) in COMMANDS.items():
        group = typer.main.get_command(importlib.import_module(module).app)
        for name, command in commands(first, group):
            rows = [row(one) for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
            tables.append("\n".join([f"### `mien {name}`", "", "| Option | |", "|---|---|", *rows]))
    return "\n\n".join(tables) + "\n\n"


def test_the_page_lists_every_option_of_every_command() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n{options()}{END}{after}"
    if os.environ.get("MIEN_UPDATE_SNAPSHOTS"):
        PAGE.write_text(wanted, encoding="utf-8")
        text = wanted
    assert text == wanted, "run  MIEN_UPDATE_SNAPSHOTS=1 pytest tests/test_docs_options.py"
