"""Where a picture comes from: settings and hashes, an invisible watermark, signatures; and who is not to be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.core.lazy import lazy_exports

_EXPORTS = {
    "RefusalList": ".refusals",
    "Verdict": ".verdict",
    "Watermark": ".watermark",
    "Record": ".record",
    "detect_watermark": ".watermark",
    "embed_watermark": ".watermark",
    "read_record": ".png",
    "refuse_identities": ".refusals",
    "verify": ".verdict",
    "write_picture": ".png",
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

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
