"""Errors of downloads, each one sentence that says what to do."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from mien.errors import MienError

SPARE = 64 << 20
"""Bytes left free on the disk."""


class DownloadFailed(MienError):
    """An asset could not be fetched."""


class LicenceRefused(MienError):
    """The asset's licence is not one that the user allows."""


class ChangedFile(MienError):
    """A file is not what it was published as, or was at its first download."""


class Unavailable(Exception):
    """One place does not give a file; another place, or the same one later, may.

    Attributes:
        reason: words that follow the place's name.
        lasting: whether asking this place again at once is of no use.
    """

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.reason, self.lasting = reason, lasting


def make_room(folder: Path, needed: int) -> None:
    """Create the folder and see that ``needed`` bytes fit into it.

    Raises:
        MienError: if it cannot be created or written, or the disk is too full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise disk_problem(error, folder) from error
    if not os.access(folder, os.W_OK):
        raise MienError(f"Cannot write to {folder}; choose another folder with --to, or set MIEN_CACHE.")
    if free < needed + SPARE:
        raise MienError(
            f"{folder} has {free / 1e9:.1f} GB free, and {(needed + SPARE) / 1e9:.1f} GB are needed; free some space, "
            "or choose another folder with --to."
        )


def is_of_the_disk(error: OSError) -> bool:
    """Whether an error came from the disk, among those that a library may raise for the network as well."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def disk_problem(error: OSError, folder: Path) -> MienError:
    """The sentence for an error of the disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MienError(f"The disk of {folder} is full; free some space and try again, what has come is kept.")
    return MienError(
        f"Cannot write to {folder}: {error.strerror or error}; choose another folder with --to, or set MIEN_CACHE."
    )
