"""Where a picture comes from: settings and hashes, an invisible watermark, signatures; and who is not to be drawn."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "RefusalList": "refusals",
    "Verdict": "verdict",
    "Watermark": "watermark",
    "Record": "record",
    "detect_watermark": "watermark",
    "embed_watermark": "watermark",
    "read_record": "png",
    "refuse_identities": "refusals",
    "verify": "verdict",
    "write_picture": "png",
}

__all__ = [
    "Record", "RefusalList", "Verdict", "Watermark", "detect_watermark", "embed_watermark", "read_record",
    "refuse_identities", "verify", "write_picture",
]  # fmt: skip

if TYPE_CHECKING:
    from mien.provenance.png import read_record, write_picture
    from mien.provenance.record import Record
    from mien.provenance.refusals import RefusalList, refuse_identities
    from mien.provenance.verdict import Verdict, verify
    from mien.provenance.watermark import Watermark, detect_watermark, embed_watermark


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mien.provenance' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mien.provenance.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
