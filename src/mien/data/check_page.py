"""The page of a dataset's check: ``index.html`` with some of its pictures, and ``check.json``."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.core.io import write_json, write_text
from mien.core.pages import page
from mien.data.shards import encode_picture, read_packed, shard_paths
from mien.errors import MienError

SHOWN = 24
"""Pictures on the page."""
_SIDE = 112


def write_page(folder: Path, dataset: Path, report: Mapping[str, Any]) -> None:
    """Write the page and the report.

    Args:
        folder: where to.
        dataset: whose pictures are shown: some of each shard.
        report: see `mien.data.check.check`.
    """
    write_json(folder / "check.json", report)
    shown = page("mien.data", "check.html.j2", report=report, dataset=dataset.name, pictures=_pictures(dataset))
    write_text(folder / "index.html", shown)


def _pictures(dataset: Path) -> list[dict[str, str]]:
    """Pictures of the first people of some shards, as addresses that hold them, with their captions."""
    paths = shard_paths(dataset)
    chosen = paths[:: max(1, len(paths) // 4)]
    found: list[dict[str, str]] = []
    for path in chosen:
        count = 0
        try:
            for packed in read_packed(path):
                image = Image.fromarray(packed.image())
                image.thumbnail((_SIDE, _SIDE))
                data = base64.b64encode(encode_picture(np.asarray(image), "jpg")).decode()
                origin = packed.sample.origin
                words = packed.key if origin is None else f"{packed.key}: {origin.who}"
                found.append({"address": f"data:image/jpeg;base64,{data}", "caption": words})
                count += 1
                if count >= SHOWN // len(chosen):
                    break
        except MienError:
            continue  # the report says so
    return found
