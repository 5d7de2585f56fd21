"""What an imported dataset is made of, and the file that says so (``import.json``)."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from mien.core.io import claim
from mien.core.strict import StrictModel
from mien.errors import BadInput

SETTINGS_FILE = "import.json"
UNIT = 64
"""Picture files in a unit of work; a video is a unit by itself."""
_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "min": 60.0}


class ImportRequest(StrictModel):
    """Everything the bytes of an imported dataset depend on.

    Attributes:
        layout: see `mien.data.importing.layouts`.
        files: sha256 of the names and sizes of all files of the source.
        every: seconds between the frames that are taken of a video.
        size: side of the pictures in pixels.
        framing: ``studio``: the face where `mien generate` puts it; ``keep``: the whole picture, which must be square.
        ending: of the pictures in the shards, see `mien.data.shards.FORMATS`.
        min_face: least longer side of a face in the source, in pixels.
        reader: who reads faces, see `mien.faces.names`.
        models: file -> sha256 of what reads.
        same: least cosine of two faces of one person, where the faces of a video are told apart (*ours*).
        per_shard: pictures in a shard.
    """

    layout: Literal["folder", "ffhq", "mead", "celeba", "agedb", "video"]
    files: str
    every: float = Field(default=1.0, gt=0)
    size: int = Field(default=512, ge=32, le=2048)
    framing: Literal["studio", "keep"] = "studio"
    ending: Literal["png", "jpg", "webp"] = "png"
    min_face: int = Field(default=48, ge=1)
    reader: str
    models: dict[str, str]
    same: float = Field(default=0.4, ge=-1, le=1)
    per_shard: int = Field(default=512, ge=1)


def claim_import(folder: Path, request: ImportRequest) -> None:
    """Write ``import.json``, or check that the one in the folder asks for the same dataset.

    Raises:
        ConfigError: if the folder belongs to another request.
    """
    claim(folder / SETTINGS_FILE, request.model_dump(mode="json"), "another dataset")


def seconds(text: str) -> float:
    """``1s``, ``500ms`` or ``2min`` in seconds; a bare number is seconds.

    Raises:
        BadInput: for anything else.
    """
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(s|ms|min|)", text.strip())
    if found is None or not 0 < float(found[1]) < math.inf:
        raise BadInput(f"Write an interval as 1s, 500ms or 2min, not {text!r}.")
    return float(found[1]) * _UNITS[found[2]]
