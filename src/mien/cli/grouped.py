"""A command whose help lists its options under headings."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class GroupedCommand(TyperCommand):
    """Plain help, with each option under the heading named by its ``rich_help_panel``."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each heading, in the order in which the headings first appear."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            line = parameter.get_help_record(ctx)
            if line is not None:
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(line)
        for heading, lines in sections.items():
            with formatter.section(heading):
                formatter.write_dl(lines)
