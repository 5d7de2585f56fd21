"""Typing a recipe's commands one after another, with what was done before left out."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.core.log import append_line, read_lines
from tests.rehearsal.cluster import three_nodes
from tests.rehearsal.details import DETAILS
from tests.rehearsal.recipe import PAGES, commands
from tests.rehearsal.shell import Ran, Shell, kill_rank
from tests.rehearsal.steps import STEPS_BEFORE, Detail, NotProved, detail_of, steps_saved

PROCESSES = (("--nproc-per-node 8", "--nproc-per-node 2"), ("--workers 8", "--workers 2"))
"""What the pages say, and what is typed."""


@dataclass
class Rehearsal:
    """One paper's recipe.

    Attributes:
        paper: of `PAGES`.
        folder: where commands are typed.
    """

    paper: str
    folder: Path
    rows: list[dict[str, Any]] = field(default_factory=list)

    def play(self) -> bool:
        """Type what was not done before; False at the first command that fails."""
        file = self.folder / f"done-{self.paper}.jsonl"
        before = {row["command"]: row for row in read_lines(file)}
        shell = Shell(self.folder)
        for command in commands(PAGES[self.paper]):
            detail = detail_of(command, DETAILS[self.paper])
            row = before.get(command)
            if row is None:
                try:
                    row = _typed(shell, command, detail)
                except NotProved as failure:
                    sys.stdout.write(f"$ {command}\n  FAILED: {failure} (see {self.folder / 'said.txt'})\n")
                    sys.stdout.flush()
                    return False
                append_line(file, row)
            self.rows.append(row)
            sys.stdout.write(_line(row))
            sys.stdout.flush()
        return True

    def table(self) -> str:
        """One line a command: seconds, what it proved, the command."""
        spent = sum(row["seconds"] for row in self.rows)
        used = sum(row["processor"] for row in self.rows)
        return f"{self.paper}: {spent:.0f} s, of the processor {used:.0f} s\n" + "".join(map(_line, self.rows))


def _line(row: dict[str, Any]) -> str:
    command = row["typed"].partition("\n")[0]
    return f"{row['seconds']:7.1f} s  {command}\n           {row['proved']}\n"


def _typed(shell: Shell, command: str, detail: Detail) -> dict[str, Any]:
    """A row about a command that was typed; ``command`` is as on its page.

    Raises:
        NotProved: if it failed.
    """
    typed = " ".join(part for part in (command, detail.small) if part)
    for ours, here in PROCESSES:
        typed = typed.replace(ours, here)
    if detail.not_typed:
        return {"command": command, "typed": command, "seconds": 0.0, "processor": 0.0,
                "proved": f"not typed: {detail.not_typed}"}  # fmt: skip
    for name in _begun_anew(command, detail):
        shutil.rmtree(shell.folder / name, ignore_errors=True)
    ran = _killed(shell, typed, command) if detail.kill else [_well(shell, typed)]
    proved = ""
    if detail.kill:
        what = "a node and all on it" if _run_of(command) is None else "a process"
        proved = f"{what} killed with -9, {'the same command again' if len(ran) > 1 else 'and it went on'}; "
    if (other := _again(typed, detail)) is not None:
        ran.append(_well(shell, other, "unbroken" if _run_of(command) else "cache"))
    proved += "exit code 0" if detail.proof is None else detail.proof(shell)
    return {
        "command": command, "typed": typed, "seconds": round(sum(one.seconds for one in ran), 1),
        "processor": round(sum(one.processor for one in ran), 1), "proved": proved,
    }  # fmt: skip


def _run_of(command: str) -> str | None:
    """``BASE/PRESET`` of a command that trains."""
    found = re.search(r"mien train (\S+) --base (\S+)", command)
    return f"{found[2]}/{found[1]}" if found else None


def _begun_anew(command: str, detail: Detail) -> tuple[str, ...]:
    run = _run_of(command) if detail.kill else None
    return (*detail.anew, *([f"{cache}/runs/on/{run}" for cache in ("cache", "unbroken")] if run else []))


def _again(typed: str, detail: Detail) -> str | None:
    """The command for the other side of a comparison."""
    if detail.again is None:
        return typed if detail.kill else None
    return typed.replace(detail.without, "").replace(*detail.again, 1)


def _well(shell: Shell, typed: str, cache: str = "cache") -> Ran:
    ran = shell.type(typed, cache=cache)
    if ran.code:
        raise NotProved(f"exit code {ran.code}")
    return ran


def _killed(shell: Shell, typed: str, command: str) -> list[Ran]:
    """Type a command of which a process is killed, and once more if that ended it."""
    run = _run_of(command)
    with ExitStack() as stack:
        kill: Callable[[int], bool]
        more = {}
        if run is not None:
            place = shell.folder / "cache" / "runs" / "on" / run
            kill = kill_rank(1, lambda: steps_saved(place) >= STEPS_BEFORE)
        else:
            nodes = stack.enter_context(three_nodes(shell.environment()))
            kill, more = nodes.kill_when(lambda: any((shell.folder / "pairs").glob(".parts/*.json"))), nodes.environment
        ran = [shell.type(typed, kill=kill, more=more)]
        if not ran[0].killed:
            raise NotProved(f"exit code {ran[0].code}, before anything was killed")
        if run is not None and not ran[0].code:
            raise NotProved("it ended well although one of its processes was killed")
        if ran[0].code:
            ran.append(shell.type(typed, more=more))
    if ran[-1].code:
        raise NotProved(f"exit code {ran[-1].code} after it was killed")
    return ran
