"""The manifest of a set of pairs: one Parquet row for each attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mien.core.io import atomic_path
from mien.core.optional import require

MANIFEST = "manifest.parquet"

_COLUMNS = {
    "row": "int64", "key": "string", "attempt": "int32", "seed": "int64", "second": "string", "third": "string",
    "kept": "bool_", "reason": "string", "exp": "float64", "lms": "float64", "identity": "float64",
    "identity_third": "float64", "sharpness": "float64", "quality": "float64", "maker": "string",
}  # fmt: skip
"""Name -> type in pyarrow's words."""


def write_manifest(path: Path, rows: Sequence[Mapping[str, Any]], models: Mapping[str, str]) -> None:
    """Write the attempts.

    Args:
        path: file.
        rows: attempts: ``row`` and ``key`` of the target, ``attempt``, ``seed``, keys of the ``second`` and ``third``
            person, ``kept`` and ``reason``, the filters' numbers (None without a face), ``maker``.
        models: model -> sha256; in each row's ``models``, as JSON.

    Raises:
        MissingDependency: without pyarrow.
    """
    pa = require("pyarrow", extra="pairs")
    parquet = require("pyarrow.parquet", extra="pairs")
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in _COLUMNS.items()] + [("models", pa.string())])
    hashes = json.dumps(dict(models), sort_keys=True)
    table = pa.Table.from_pylist([{**row, "models": hashes} for row in rows], schema=schema)
    with atomic_path(path) as temporary:
        parquet.write_table(table, temporary)
