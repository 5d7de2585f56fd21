"""Where the numbers of a result file come from: command, commit, date, machine, libraries, sha256 of the weights."""

from __future__ import annotations

import datetime
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien import __version__
from mien.assets import embedded
from mien.bench.machine import processor
from mien.core.io import read_json
from mien.provenance.fingerprint import LIBRARIES, version_of

READERS = ("mediapipe", "onnxruntime", "torchmetrics")
"""Packages that read pictures, or compute scores, beside those that draw."""


def stamp(command: str, files: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What every result file holds under ``made_by``.

    Args:
        command: the command line.
        files: name -> sha256 of further files that the numbers depend on, such as another reader's.

    Returns:
        ``command``; ``commit`` of the source tree, with ``+`` where it has changes, None for an installed package;
        ``date`` (UTC); ``machine``; ``libraries``; ``shipped``: sha256 of each part of the embedded weights, judges
        and readers included; ``files``.
    """
    return {
        "command": command,
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "system": platform.system(), "python": platform.python_version()},
        "libraries": {"mien": __version__} | {name: version_of(name) for name in (*LIBRARIES, *READERS)},
        "shipped": read_json(embedded("studio") / "hashes.json"),
        "files": dict(files or {}),
    }


def command_line() -> str:
    """The ``mien`` command that runs now, as it is typed."""
    return shlex.join(["mien", *sys.argv[1:]])


def commit(folder: Path = Path(__file__).parent) -> str | None:
    """Commit of the work tree that a folder is in, with ``+`` where tracked files differ from it; None without one."""
    try:
        head, changes = (
            subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + "+" * bool(changes.strip())
