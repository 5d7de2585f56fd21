"""The portraits that pairs are made for, one shard in memory at a time."""

from __future__ import annotations

import hashlib
import tarfile
from bisect import bisect_right
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path

from mien.core.io import sha256_of
from mien.data.shards import Entry, read_shard, shard_paths
from mien.errors import BadInput


class Portraits:
    """Rows of a folder of shards.

    Args:
        folder: where ``shard-*.tar`` are.

    Raises:
        BadInput: if there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.paths = folder, shard_paths(folder)
        if not self.paths:
            raise BadInput(f"No shards in {folder}: make them with  mien studio render -o {folder}")
        self._ends = list(accumulate(_count(path) for path in self.paths))
        self._shard = lru_cache(maxsize=2)(lambda number: list(read_shard(self.paths[number])))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, row: int) -> Entry:
        return self._shard(self._number(row))[row - self.beside(row).start]

    def beside(self, row: int) -> range:
        """The rows of the shard that holds a row."""
        number = self._number(row)
        return range(self._ends[number - 1] if number else 0, self._ends[number])

    @cached_property
    def sha256(self) -> str:
        """Of all shards' bytes."""
        return hashlib.sha256("".join(sha256_of(path) for path in self.paths).encode()).hexdigest()

    def _number(self, row: int) -> int:
        return bisect_right(self._ends, row)


def _count(path: Path) -> int:
    try:
        with tarfile.open(path, "r:") as tar:
            return sum(name.endswith(".json") for name in tar.getnames())
    except (tarfile.TarError, OSError) as error:
        raise BadInput(f"{path} is not a whole shard ({error}); make it again.") from error
