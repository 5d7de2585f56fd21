"""Reading the manifest of a set of pairs, which the package only writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def read_manifest(path: Path) -> list[dict[str, Any]]:
    """The attempts, one a row."""
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()
