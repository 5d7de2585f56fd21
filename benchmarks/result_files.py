"""Result files: JSON that says where its numbers come from."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.bench.stamp import stamp
from mien.core.io import write_json


def command_line() -> str:
    """The command that runs now, as it is typed in the repository."""
    script, *words = sys.argv
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *words])


def write_result(path: Path, report: Mapping[str, Any], files: Mapping[str, str] | None = None) -> None:
    """Write a report with ``made_by``: see `mien.bench.stamp.stamp`, whose ``files`` these are."""
    write_json(path, {**report, "made_by": stamp(command_line(), files)})
