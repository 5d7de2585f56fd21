"""Where a picture comes from: settings and hashes in PNG text, an invisible mark in the pixels."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "Mark": "mark",
    "Record": "record",
    "detect_mark": "mark",
    "embed_mark": "mark",
    "read_record": "png",
    "write_picture": "png",
}

__all__ = ["Mark", "Record", "detect_mark", "embed_mark", "read_record", "write_picture"]

if TYPE_CHECKING:
    from mien.provenance.mark import Mark, detect_mark, embed_mark
    from mien.provenance.png import read_record, write_picture
    from mien.provenance.record import Record


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mien.provenance' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mien.provenance.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
