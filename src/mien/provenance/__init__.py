"""Where a picture comes from: settings and hashes in PNG text, an invisible watermark in the pixels."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "Watermark": "watermark",
    "Record": "record",
    "detect_watermark": "watermark",
    "embed_watermark": "watermark",
    "read_record": "png",
    "write_picture": "png",
}

__all__ = ["Record", "Watermark", "detect_watermark", "embed_watermark", "read_record", "write_picture"]

if TYPE_CHECKING:
    from mien.provenance.png import read_record, write_picture
    from mien.provenance.record import Record
    from mien.provenance.watermark import Watermark, detect_watermark, embed_watermark


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mien.provenance' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mien.provenance.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
