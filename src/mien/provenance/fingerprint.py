"""What a picture's bits depend on besides its settings: model files and how they are configured, versions, threads."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

from mien.core.io import is_hidden, sha256_of

WEIGHTS = (".safetensors", ".task", ".bin", ".onnx")
INDEX = "model_index.json"
CONFIGURATION = "configuration"
"""Under ``FOLDER/configuration`` stand all settings of a network, scheduler or tokenizer, as one hash."""
JUDGES = "judges"
"""The folder of a model that decides no pixel: networks that only measure."""
_SETTINGS = (".json", ".model")
_WORDS = ("merges.txt", "vocab.txt")
UNKNOWN = "unknown"
"""The version of a package that is not installed, or lies on the path without its metadata."""
LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow")


def model_hashes(folder: Path | None, extra: Mapping[str, Path], without: str = "") -> dict[str, str]:
    """sha256 of every weight file below ``folder`` (by its path inside it) and of the ``extra`` files (by name).

    ``model_index.json`` is among them: it names the classes and holds the base's own guidance. So is, for every folder
    inside it with settings of a network, a scheduler or a tokenizer, one hash of them all. An extra folder stands for
    the files below it. What lies in ``without``, a folder of ``folder``, is not read.
    """
    found = {} if folder is None else _below(folder, "", without)
    for name, path in extra.items():
        found |= _below(path, name) if path.is_dir() else {name: _hash(path)}
    return dict(sorted(found.items()))


def is_configuration(name: str) -> bool:
    """Whether a name that `model_hashes` gives is of a folder's settings."""
    return PurePosixPath(name).name == CONFIGURATION


def _below(folder: Path, name: str, without: str = "") -> dict[str, str]:
    """Weights and settings; what lies in the model's own folder beside its parts (a ledger) decides no pixel."""
    found: dict[str, str] = {}
    settings: dict[PurePosixPath, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if inside.parts[0] == without or is_hidden(inside):
            continue
        place = PurePosixPath(name) / inside.as_posix()
        if path.suffix in WEIGHTS or path.name == INDEX:
            found[str(place)] = _hash(path)
        elif (path.suffix in _SETTINGS or path.name in _WORDS) and place.parent.name:
            settings[place.parent].append(f"{path.name} {_hash(path)}")
    return found | {
        f"{part}/{CONFIGURATION}": hashlib.sha256("\n".join(lines).encode()).hexdigest()
        for part, lines in settings.items()
    }


def _hash(path: Path) -> str:
    """sha256 of a file; the hub's cache names its blobs by it, which spares reading gigabytes again."""
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
