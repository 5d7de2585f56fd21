"""A data set as arrays on disk: what every stage of training draws its batches from.

The first load of a folder decodes its shards (`mien.data.decoding`; about a minute for 24,000 pictures) and keeps
arrays and texts as columns in ``FOLDER/prepared`` (`mien.data.columns`); later loads map these while no shard is
another, by name, size and time. Rows are read when a batch asks for them, so that a data set may be larger than
memory, and nothing is done for every row when it is opened. Anything frozen networks compute from the pictures is kept
beside it in the same way while the shards' content is the same, see :meth:`Corpus.cached`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.io import make_folder
from mien.core.log import awaited_lock
from mien.data.columns import column_writer, read_column
from mien.data.decoding import CATEGORIES, TEXTS, forget, prepare, says_nothing
from mien.data.needs import COLUMNS
from mien.data.shards import shard_paths
from mien.data.shared_columns import shared_column
from mien.data.texts import BYTES, ENDS, Texts
from mien.errors import MienError

log = logging.getLogger(__name__)
PREPARED = "prepared"
"""Folder inside a data set's for its columns and their index."""
_FORMER = "prepared.safetensors"
"""What 0.1.0 kept there instead."""
PORTRAITS = "portraits"
"""Folder inside a data set's for what ``mien studio portraits`` renders."""


@dataclass
class Corpus:
    """Arrays over N pictures; row i of each is the same picture.

    Attributes:
        folder: where it came from.
        arrays: ``images`` uint8 [N, S, S, 3]; ``masks`` uint8 [N, 64, 64]; where shards have them, ``mattes`` uint8
            [N, S/2, S/2]; ``person``, ``picture`` int64 [N] seeds and numbers; ``coefficients`` [N, 53]; ``gaze``
            [N, 2] and ``pose`` [N, 3] degrees; ``flush`` [N]; ``landmarks``, ``landmarks_mediapipe`` [N, 478, 3] pixels
            and ``blendshapes_mediapipe`` [N, 52], ``pose_mediapipe`` [N, 3]; ``emotion`` [N, 10]; ``skin_tone``,
            ``age``, ``gender`` [N]; ``identity_arcface`` [N, 512], where told; of pairs also ``templates`` uint8
            [N, S, S, 3] and ``template_landmarks`` [N, 478, 3]. NaN where a record does not say.
        captions: N strings.
        attributes: for each categorical attribute, N strings; `mien.data.decoding.UNKNOWN` where a record does not say.
        lacking: column -> in how many rows it is NaN, where that is known.
        extra: arrays added by :meth:`cached`.
        held_out: another corpus of people never trained on, for validation.
        digest: sha256 over the shards' names and contents; empty where there are none.
        on_device: arrays that batches are drawn from may lie in a GPU's memory.
    """

    folder: Path
    arrays: dict[str, np.ndarray]
    captions: Sequence[str]
    attributes: Mapping[str, Sequence[str]]
    lacking: Mapping[str, int] = field(default_factory=dict)
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    held_out: Corpus | None = None
    digest: str = ""
    on_device: bool = True

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.extra[name] if name in self.extra else self.arrays[name]

    @cached_property
    def person_index(self) -> np.ndarray:
        """Person of each row as 0..P-1, int64 [N]."""
        return np.unique(self["person"], return_inverse=True)[1].astype(np.int64)

    @cached_property
    def people(self) -> int:
        """Number of people P."""
        return int(self.person_index.max()) + 1

    @cached_property
    def _rows_by_person(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rows person by person [N]; where each begins and how many they have [P]; the place there of each row [N]."""
        order = np.argsort(self.person_index, kind="stable")
        counts = np.bincount(self.person_index)
        first = np.cumsum(counts) - counts
        own = np.empty(len(self), np.int64)
        own[order] = np.arange(len(self)) - first[self.person_index[order]]
        return order, first, counts, own

    def same_person(self, rows: np.ndarray, rng: np.random.Generator, *, other: bool = True) -> np.ndarray:
        """For each row, a random row of the same person (another picture of them where ``other`` and one exists)."""
        order, first, counts, own = self._rows_by_person
        who = self.person_index[rows]
        if not other:
            return order[first[who] + rng.integers(0, counts[who])]
        step = 1 + rng.integers(0, np.maximum(counts[who] - 1, 1))
        return order[first[who] + (own[rows] + np.where(counts[who] > 1, step, 0)) % counts[who]]

    def all_of_person(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All rows of the person of each of ``rows`` [B], itself too, end to end [K]; and how many each has [B]."""
        order, first, counts, _ = self._rows_by_person
        who = self.person_index[rows]
        many = counts[who]
        skipped = np.cumsum(many) - many
        return order[np.repeat(first[who] - skipped, many) + np.arange(many.sum())], many

    def cached(self, name: str, key: str, compute: Callable[[], np.ndarray | Iterable[np.ndarray]]) -> np.ndarray:
        """An array [N, ...] derived from the pictures, kept on disk under ``name`` while they and ``key`` are the same.

        Args:
            name: file name without ending.
            key: what else it depends on (for a network: the sha256 of its weights).
            compute: makes it, whole or in parts [n, ...] of its rows in order.
        """
        key = f"{self.digest}-{key}"
        path = self._derived(name, key)
        value = self._kept(name, key)
        if value is None:
            make_folder(path.parent)
            with awaited_lock(path.with_suffix(".lock"), f"computing {name}"):
                value = self._kept(name, key)  # of another process, while this one waited
                if value is None:
                    log.info("computing %s for %d pictures", name, len(self))
                    made = compute()
                    with column_writer(path, key) as append:
                        for part in [made] if isinstance(made, np.ndarray) else made:
                            append(part)
                    value = read_column(path, key)
                    assert value is not None, path
        self.extra[name] = value
        return value

    @property
    def poses(self) -> np.ndarray:
        """Poses of the heads [N, 3] in degrees: the renderer's, else MediaPipe's; NaN where nobody said."""
        pose = self["pose"]
        return pose if np.isfinite(pose).all() else np.where(np.isfinite(pose), pose, self["pose_mediapipe"])

    def missing(self, need: str) -> np.ndarray:
        """Which pictures lack what a stage needs (`mien.data.needs`), bool [N]."""
        lacking = np.ones(len(self), bool)
        for name in COLUMNS[need]:
            if self.lacking.get(name) == 0:
                return np.zeros(len(self), bool)
            if name in self.arrays and self.lacking.get(name) != len(self):  # else the whole column would be read
                lacking &= says_nothing(self[name])
        return lacking

    def computed(self, name: str, key: str, of_rows: Callable[[slice], np.ndarray]) -> np.ndarray:
        """The same, made in parts by all processes that ask for it at the same time, and continued where it stopped.

        Args:
            name: see :meth:`cached`.
            key: see there; also what it is computed in, where that changes it.
            of_rows: makes the rows of a slice, whatever the others are.
        """
        key = f"{self.digest}-{key}"
        value = self._kept(name, key)
        if value is None:
            value = shared_column(self._derived(name, key), key, len(self), of_rows)
        self.extra[name] = value
        return value

    def _derived(self, name: str, key: str) -> Path:
        """Where a column lies that was made from what the key says: those of two bases lie side by side."""
        return self.folder / "derived" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"

    def _kept(self, name: str, key: str) -> np.ndarray | None:
        """A column that is there; before, there was one of each name."""
        for path in (self._derived(name, key), self.folder / "derived" / f"{name}.safetensors"):
            value = read_column(path, key)
            if value is not None and len(value) == len(self):
                return value
        return None

    def load_portraits(self) -> Corpus | None:
        """Photographs of the look of some pictures, under these pictures' numbers; None where there are none."""
        folder = self.folder / PORTRAITS
        return Corpus.load(folder) if shard_paths(folder) else None

    @classmethod
    def load(cls, folder: Path | str) -> Corpus:
        """Load a folder written by ``mien studio render``.

        Raises:
            MienError: if it holds no finished shard.
            BadInput: if a picture is not square: the networks that are trained draw and read squares.
        """
        folder = Path(folder)
        shards = shard_paths(folder)
        if not shards:
            raise MienError(
                f"No shards in {folder}: make them with  mien studio render --people 3000 --per-person 8 -o {folder}  "
                "or from pictures with  mien data import."
            )
        index = prepare(shards, folder / PREPARED)
        corpus = cls._prepared(folder, index)
        if corpus is None:  # a column is gone, or damaged
            forget(folder / PREPARED)
            corpus = cls._prepared(folder, prepare(shards, folder / PREPARED))
            assert corpus is not None, folder
        (folder / _FORMER).unlink(missing_ok=True)
        return corpus

    @classmethod
    def _prepared(cls, folder: Path, index: Mapping[str, Any]) -> Corpus | None:
        """What the index tells of; None where a column is missing or damaged."""
        columns: dict[str, np.ndarray] = {}
        for name in index["columns"]:
            value = read_column(folder / PREPARED / f"{name}.safetensors", index["digest"])
            if value is None or (name != BYTES and len(value) != index["count"]):
                return None
            columns[name] = value
        content, ends = columns.pop(BYTES), columns.pop(ENDS)
        captions, *words = (Texts(content, ends, which) for which in range(len(TEXTS)))
        attributes: dict[str, Sequence[str]] = dict(zip(CATEGORIES, words, strict=True))
        return cls(folder, columns, captions, attributes, index["lacking"], digest=index["digest"])
