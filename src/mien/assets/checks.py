"""What an asset's files should be, and whether they are that.

A hash comes from the registry, or, where nobody we trust has published one, from the first sight of the file: it is
written to a lock file in the cache and every later file is held against it (trust on first use).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mien.assets.lookup import downloads, folder_with
from mien.assets.registry import Asset, AssetFile
from mien.core.io import read_json, sha256_of, write_json

State = Literal["ok", "changed", "not there", "no hash known"]


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it is looked at.

    Attributes:
        sha256: the registry's, 64 hex digits.
        first: that of the file at first sight, downloaded or found.
        prefix: the first 8 hex digits, from the file's name.
        bytes: length.
        lock: where ``first`` is written down.
    """

    sha256: str | None
    first: str | None
    prefix: str | None
    bytes: int | None
    lock: Path

    @property
    def has_hash(self) -> bool:
        """Whether wrong bytes would be noticed."""
        return bool(self.sha256 or self.first or self.prefix)

    def complaint(self, path: Path) -> str | None:
        """What is wrong with the file, or None; reads all of it where a hash is known."""
        size = path.stat().st_size
        if self.bytes is not None and size != self.bytes:
            return f"it has {size:,} bytes instead of {self.bytes:,}"
        if not self.has_hash:
            return None
        found = sha256_of(path)
        if self.sha256 is not None and found != self.sha256:
            return f"its sha256 is {found}, not {self.sha256}"
        if self.prefix is not None and not found.startswith(self.prefix):
            return f"its sha256 is {found}, which does not begin with {self.prefix}"
        if self.first is not None and found != self.first:
            return f"its sha256 is {found}, not that of the first download, {self.first} in {self.lock}"
        return None


def lock_file(name: str) -> Path:
    """The lock file of an asset: JSON, file name -> sha256 at first sight."""
    return downloads() / f"{name}.lock.json"


def expected(one: Asset, file: AssetFile) -> Expected:
    """What is known of one of the asset's files.

    Raises:
        MienError: if the lock file is damaged.
    """
    lock = lock_file(one.name)
    first = read_json(lock).get(file.name) if lock.is_file() and file.sha256 is None else None
    return Expected(file.sha256, first, file.sha256_prefix, file.bytes, lock)


def remember(one: Asset, file: AssetFile, path: Path) -> None:
    """Write down the sha256 of a file at first sight.

    Raises:
        MienError: if the cache cannot be written.
    """
    lock = lock_file(one.name)
    known = read_json(lock) if lock.is_file() else {}
    write_json(lock, {**known, file.name: sha256_of(path)})


@dataclass(frozen=True)
class Verdict:
    """The state of one file; ``why`` explains a change, ``path`` is None where the file is not there."""

    asset: str
    file: str
    state: State
    path: Path | None = None
    why: str = ""


def verify(one: Asset) -> list[Verdict]:
    """The state of each of the asset's files, hashes computed anew."""
    folder = folder_with(one)
    return [_verdict(one, file, folder) for file in one.files]


def _verdict(one: Asset, file: AssetFile, folder: Path | None) -> Verdict:
    # a folder counts only when it is whole; the parts of a broken one are looked for where they were downloaded to
    path = (folder or downloads() / one.name) / file.name
    if not path.is_file():
        return Verdict(one.name, file.name, "not there")
    known = expected(one, file)
    why = known.complaint(path)
    if why is not None:
        return Verdict(one.name, file.name, "changed", path, why)
    return Verdict(one.name, file.name, "ok" if known.has_hash else "no hash known", path)
