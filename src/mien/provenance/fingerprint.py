"""What a picture's bits depend on besides its settings: model files, library versions, threads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mien.io import sha256_of

WEIGHTS = (".safetensors", ".task", ".bin", ".onnx")
INDEX = "model_index.json"
UNKNOWN = "unknown"
"""The version of a package that is not installed, or lies on the path without its metadata."""
LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow")


def model_hashes(folder: Path | None, extra: Mapping[str, Path]) -> dict[str, str]:
    """sha256 of every weight file below ``folder`` (by its path inside it) and of the ``extra`` files (by name).

    ``model_index.json`` is among them: it names the classes and holds the base's own guidance. An extra folder stands
    for the weight files below it.
    """
    files = {} if folder is None else _below(folder, "")
    for name, path in extra.items():
        files |= _below(path, f"{name}/") if path.is_dir() else {name: path}
    return {name: _hash(path) for name, path in sorted(files.items())}


def _below(folder: Path, prefix: str) -> dict[str, Path]:
    return {
        prefix + path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.suffix in WEIGHTS or path.name == INDEX
    }


def _hash(path: Path) -> str:
    """sha256 of a weight file; the hub's cache names its blobs by it, which spares reading gigabytes again."""
    name = path.resolve().name
    is_blob = path.is_symlink() and len(name) == 64 and all(digit in "0123456789abcdef" for digit in name)
    if is_blob:
        return name
    about = path.stat()
    return _hash_once(path, (about.st_ino, about.st_size, about.st_mtime_ns))


@lru_cache(maxsize=1024)
def _hash_once(path: Path, about: tuple[int, int, int]) -> str:
    """sha256 of a file; read again when it is another or was written to. Not for every picture: that takes a while."""
    return sha256_of(path)


def environment(device: str) -> dict[str, str]:
    """Library versions, the number of threads and the device."""
    import torch

    found = {"device": device, "threads": str(torch.get_num_threads())}
    return found | {library: version_of(library) for library in LIBRARIES}


@lru_cache
def version_of(library: str) -> str:
    """Installed version of a package, or ``UNKNOWN``."""
    try:
        return version(library)
    except PackageNotFoundError:
        return UNKNOWN
