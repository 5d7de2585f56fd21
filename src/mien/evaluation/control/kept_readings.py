"""Readings of drawn pictures, kept beside them: reading thousands of pictures takes as long as drawing some modes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from mien.core.caches import read_arrays, write_arrays
from mien.core.io import sha256_of
from mien.evaluation.control.observe import Told, observe
from mien.evaluation.control.pictures import read_png
from mien.evaluation.control.readings import Readings
from mien.evaluation.control.tools import EvaluationContext
from mien.provenance.fingerprint import version_of

_PACKAGES = ("mien", "torch", "mediapipe", "onnxruntime")
"""Whose versions what is read depends on."""


def cached_readings(
    tools: EvaluationContext, files: Sequence[Path], folder: Path, told: Told = lambda _: None
) -> Readings:
    """What :func:`observe` tells of picture files, taken from ``folder`` where the same readers read the same bytes.

    Args:
        tools: readers and judges; where nobody says which judges they are (no hashes), nothing is kept.
        files: N pictures.
        folder: where readings are kept, ``readings-DIGEST.safetensors``.
        told: called with the number of pictures done.
    """
    if not tools.judges:
        return observe(tools, [read_png(file) for file in files], told)
    place = folder / f"readings-{_digest(tools, files)}.safetensors"
    kept = read_arrays(place)
    if kept is not None:
        told(len(files))
        return Readings(kept.arrays)
    found = observe(tools, [read_png(file) for file in files], told)
    write_arrays(place, found.values, {})
    return found


def _digest(tools: EvaluationContext, files: Sequence[Path]) -> str:
    """Of the pictures' bytes and of everything that reads them."""
    asked = {
        "judges": dict(tools.judges),
        "readers": {
            name: {key: sha256_of(file) for key, file in getattr(reader, "files", {}).items()}
            for name, reader in tools.readers.items()
        },
        "parts": sorted([*tools.networks.parts(), *tools.looks()]),
        "versions": {name: version_of(name) for name in _PACKAGES},
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for file in files:
        digest.update(sha256_of(file).encode())
    return digest.hexdigest()[:16]
