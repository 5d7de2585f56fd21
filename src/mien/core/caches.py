"""Arrays kept on disk to spare computing them again: whole and as they were written, or made anew."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from mien.core.weights import weights_path

log = logging.getLogger(__name__)
DIGEST = "content-sha256"
"""Key of the file's metadata."""


class Kept(NamedTuple):
    """What a cache file holds.

    Attributes:
        arrays: by name.
        about: what was written with them.
    """

    arrays: dict[str, NDArray]
    about: dict[str, str]


def content_digest(arrays: Mapping[str, NDArray], about: Mapping[str, str]) -> str:
    """sha256 over names, types, shapes and bytes of arrays, and over what is said about them."""
    digest = hashlib.sha256(repr(sorted(about.items())).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(repr((name, array.dtype.str, arrays[name].shape)).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write_arrays(path: Path, arrays: Mapping[str, NDArray], about: Mapping[str, str]) -> None:
    """Write arrays atomically, with their digest."""
    whole = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    with weights_path(path) as temporary:
        save_file(whole, temporary, metadata={**about, DIGEST: content_digest(whole, about)})


def read_arrays(path: Path, *, older: bool = False) -> Kept | None:
    """What `write_arrays` wrote.

    Args:
        path: the file.
        older: take a file without a digest too, of a release that kept none and nothing else about the arrays, where it
            can be read.

    Returns:
        None where there is no file, it was damaged or it is of a release that kept no digest: it is to be made anew.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as stored:
            about = dict(stored.metadata() or {})
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a dict
        stated = about.pop(DIGEST, None)
        is_whole = stated == content_digest(arrays, about) or (older and stated is None and not about)
    except Exception as error:  # whatever the parser raises on what a disk made of the file
        log.info("%s: %s", path, error)
        is_whole = False
        arrays, about = {}, {}
    if not is_whole:
        log.warning("%s is damaged or of an older release: it is made anew", path)
        return None
    return Kept(arrays, about)


def read_about(path: Path) -> dict[str, str] | None:
    """What was written about the arrays of a file, without reading them; None where that cannot be told."""
    try:
        with safe_open(path, framework="numpy") as stored:
            return dict(stored.metadata() or {})
    except Exception:  # no file, or whatever the parser raises
        return None
