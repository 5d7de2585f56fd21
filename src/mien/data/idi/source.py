"""The portraits that pairs are made for: any row of a dataset at once, without a shard in memory."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from mien.core.io import sha256_of
from mien.data.schema import Sample
from mien.data.shards import Entry, member_name, packed, shard_paths
from mien.data.tar import plain_files
from mien.errors import BadInput


class _Place(NamedTuple):
    """A portrait's files in its shard: ending -> (first byte, number of bytes)."""

    key: str
    files: dict[str, tuple[int, int]]


class Portraits:
    """Rows of a folder of shards.

    Args:
        folder: where ``shard-*.tar`` are.

    Raises:
        BadInput: if there is none, or one is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.paths = folder, shard_paths(folder)
        if not self.paths:
            raise BadInput(
                f"No shards in {folder}: make them with  mien studio render -o {folder}  or  mien data import."
            )
        self._places = [_places(path) for path in self.paths]
        self._ends = list(accumulate(len(places) for places in self._places))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, row: int) -> Entry:
        path, place = self._place(row)
        return packed(path, place.key, _read(path, place.files)).entry()

    def sample(self, row: int) -> Sample:
        """The record alone of a row."""
        path, place = self._place(row)
        return Sample.parsed(_read(path, {"json": place.files["json"]})["json"], path)

    def _place(self, row: int) -> tuple[Path, _Place]:
        number = bisect_right(self._ends, row)
        return self.paths[number], self._places[number][row - (self._ends[number - 1] if number else 0)]

    @cached_property
    def sha256(self) -> str:
        """Of all shards' bytes."""
        return hashlib.sha256("".join(sha256_of(path) for path in self.paths).encode()).hexdigest()


def _read(path: Path, files: dict[str, tuple[int, int]]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with path.open("rb") as stream:
        for ending, (start, size) in files.items():
            stream.seek(start)
            found[ending] = stream.read(size)
    return found


def _places(path: Path) -> list[_Place]:
    found: list[_Place] = []
    try:
        with path.open("rb") as stream:
            for name, content, start in plain_files(stream):
                key, ending = member_name(name)
                if not key:
                    continue
                if not found or found[-1].key != key:
                    found.append(_Place(key, {}))
                found[-1].files[ending] = start, len(content)
    except Exception as error:  # damaged archives raise ValueError, OverflowError and others
        raise BadInput(f"{path} is not a whole shard ({error}); make it again.") from error
    if lacking := [place.key for place in found if "json" not in place.files]:
        raise BadInput(f"{path}: the portrait {lacking[0]} lacks its record.")
    return found
