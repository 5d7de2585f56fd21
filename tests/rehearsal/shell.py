"""Typing commands into a shell, and killing one of the processes that a command has started."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.rehearsal.recipe import ROOT

PROGRAMS = {"mien": "-m mien", "torchrun": "-m torch.distributed.run", "python": ""}
"""What is typed -> what this environment's Python runs in its place."""


class Ran(NamedTuple):
    """How a command ended.

    Attributes:
        code: of the shell.
        seconds: by the clock.
        processor: seconds of its processes.
        killed: whether one of them was killed.
    """

    code: int
    seconds: float
    processor: float
    killed: bool


@dataclass(frozen=True)
class Shell:
    """A shell in a folder.

    Attributes:
        folder: where commands are typed; assets are in ``assets``, the cache in ``cache``.
    """

    folder: Path

    def environment(self, cache: str = "cache") -> dict[str, str]:
        """Of a command: our programs, nothing fetched, and what torchrun sets for several processes."""
        programs = self.folder / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        for name, module in PROGRAMS.items():
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n', encoding="utf-8")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        own = {
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
            "MIEN_ASSETS": str(self.folder / "assets"), "MIEN_CACHE": str(self.folder / cache),
            "MIEN_CONSENT": "known", "MIEN_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
            "HF_MODULES_CACHE": str(self.folder / "modules"),
        }  # fmt: skip
        return {**os.environ, **own}

    def type(
        self,
        command: str,
        *,
        cache: str = "cache",
        kill: Callable[[int], bool] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run a command; what it says is appended to ``said.txt``.

        Args:
            command: for bash.
            cache: its ``MIEN_CACHE``, below the folder.
            kill: called with the shell's process id ten times a second; kills something and says so, once.
            more: of its environment.
        """
        began, used = time.monotonic(), _used()
        with (self.folder / "said.txt").open("a", encoding="utf-8") as said:
            said.write(f"\n$ {command}\n")
            said.flush()
            process = subprocess.Popen(
                ["bash", "-c", command], cwd=self.folder, env=self.environment(cache) | dict(more or {}), stdout=said,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            killed = False
            try:
                while process.poll() is None:
                    time.sleep(0.1)
                    killed = killed or (kill is not None and kill(process.pid))
            finally:
                if process.poll() is None:  # Ctrl-C: the command heeds it as its user's
                    os.killpg(process.pid, signal.SIGINT)
                    process.wait()
        return Ran(process.returncode, time.monotonic() - began, _used() - used, killed)


def _used() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def kill_rank(rank: int, ready: Callable[[], bool]) -> Callable[[int], bool]:
    """Kills with -9 the process of that rank below a shell, as soon as ``ready`` says so."""

    def kill(shell: int) -> bool:
        if not ready():
            return False
        for process in _below(shell):
            if f"RANK={rank}".encode() in _environment(process):
                os.kill(process, signal.SIGKILL)
                return True
        return False

    return kill


def _below(process: int) -> Iterator[int]:
    """All processes that one has started."""
    children = Path(f"/proc/{process}/task/{process}/children")
    for child in map(int, children.read_text().split() if children.exists() else ()):
        yield child
        yield from _below(child)


def _environment(process: int) -> list[bytes]:
    try:
        return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
