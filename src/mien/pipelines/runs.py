"""Where training keeps its runs, so that a model can be named by the preset that trained it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mien.core.io import cache_folder

PUBLISHED = ("sd15", "sdxl", "arc2face")
"""Bases that go by a name and share the folder `on`."""


def runs_folder(base: str = "studio") -> Path:
    """Where runs are kept unless told otherwise; those on another base have a folder of their own.

    That of a base in a folder has the folder's name and eight digits made of its whole path.
    """
    runs = cache_folder() / "runs"
    if base == "studio":
        return runs
    if base in PUBLISHED:
        return runs / "on" / base
    path = Path(base).resolve()
    return runs / "on" / f"{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
