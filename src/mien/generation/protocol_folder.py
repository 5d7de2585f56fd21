"""The folder of a protocol on photographs: `mien.data.protocols` makes it, `mien evaluate` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mien.core.io import read_json
from mien.errors import BadInput

MANIFEST: Final = "protocol.json"
"""Which pictures there are, and where they are from."""
REQUESTS: Final = "requests.jsonl"
"""For ``mien generate --from``."""


def read_protocol(folder: Path, name: str) -> Mapping[str, Any]:
    """The manifest of a protocol's folder.

    Raises:
        BadInput: if it is another's, or none.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BadInput(
            f"There is no protocol in {folder}: make it with  mien data protocol {name} DATASET -o {folder}."
        )
    manifest = read_json(path)
    if manifest.get("protocol") != name:
        raise BadInput(f"{folder} holds the protocol {manifest.get('protocol')}, not {name}.")
    return manifest
