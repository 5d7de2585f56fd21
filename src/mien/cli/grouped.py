"""A command whose help lists its options under headings."""

from __future__ import annotations

import shlex
from pathlib import Path
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


class PortraitCommand(GroupedCommand):
    """A command of options alone, which asks what a bare word such as ``me.jpg`` is for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as usual.

        Raises:
            BadInput: for a word that follows no option.
        """
        from mien.errors import BadInput
        from mien.media.pictures import ENDINGS

        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if ctx.args:
            word = ctx.args[0]
            if Path(word).suffix.lower() in (*ENDINGS, ".heic", ".heif"):
                quoted = shlex.quote(word)
                raise BadInput(
                    f"Say what {word} is for:  {ctx.command_path} --identity {quoted}  draws this person, and "
                    f"--expression {quoted}  this expression."
                )
            raise BadInput(f"{word!r} follows no option: try  {ctx.command_path} --help.")
        return rest
