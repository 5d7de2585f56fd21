"""A data set as arrays on disk: what every stage of training draws its batches from.

The first load of a folder decodes its shards (about a minute for 24,000 pictures) and keeps arrays and texts as columns
in ``FOLDER/prepared`` (`mien.data.columns`); later loads map these while no shard is another, by name, size and time.
Rows are read when a batch asks for them, so that a data set may be larger than memory, and nothing is done for every
row when it is opened. Anything frozen networks compute from the pictures is kept beside it in the same way while the
shards' content is the same, see :meth:`Corpus.cached`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.core.io import make_folder, read_json, sha256_of, write_json
from mien.core.log import awaited_lock
from mien.core.processes import in_processes
from mien.data.columns import column_writer, read_column
from mien.data.needs import COLUMNS
from mien.data.shards import Entry, read_shard, shard_paths
from mien.data.shared_columns import shared_column
from mien.data.texts import BYTES, ENDS, Texts, text_columns
from mien.errors import BadInput, MienError

log = logging.getLogger(__name__)
PREPARED = "prepared"
"""Folder inside a data set's for its columns and their index."""
_FORMER = "prepared.safetensors"
"""What 0.1.0 kept there instead."""
PORTRAITS = "portraits"
"""Folder inside a data set's for what ``mien studio portraits`` renders."""
INDEX = "index.json"
"""Which columns there are, of which shards, and how many rows of each say nothing."""
MASK_SIZE = 64
UNKNOWN = "unknown"
"""Word of an attribute of a photograph."""
FLOAT_ATTRIBUTES = ("skin_tone", "age", "gender")
CATEGORIES = ("hair_style", "hair_color", "hair_length", "beard", "glasses", "glasses_color", "background", "clothing",
              "light", "headwear", "headwear_color", "eye_color")  # fmt: skip
_TEXTS = ["caption", *CATEGORIES]
"""What is kept as texts of each row."""


@dataclass
class Corpus:
    """Arrays over N pictures; row i of each is the same picture.

    Attributes:
        folder: where it came from.
        arrays: ``images`` uint8 [N, S, S, 3]; ``masks`` uint8 [N, 64, 64]; where shards have them, ``mattes`` uint8
            [N, S/2, S/2]; ``person``, ``picture`` int64 [N] seeds and numbers; ``coefficients`` [N, 53]; ``gaze``
            [N, 2] and ``pose`` [N, 3] degrees; ``flush`` [N]; ``landmarks``, ``landmarks_mediapipe`` [N, 478, 3] pixels
            and ``blendshapes_mediapipe`` [N, 52], ``pose_mediapipe`` [N, 3]; ``emotion`` [N, 10]; ``skin_tone``,
            ``age``, ``gender`` [N]; of pairs also ``templates`` uint8 [N, S, S, 3] and ``template_landmarks``
            [N, 478, 3]. NaN where a record does not say.
        captions: N strings.
        attributes: for each categorical attribute, N strings; `UNKNOWN` where a record does not say.
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
                lacking &= _says_nothing(self[name])
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
        prepared = folder / PREPARED
        about = [(path.name, path.stat()) for path in shards]
        state = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in about]
        index = _index(prepared)
        if index.get("shards") != state:
            contents = json.dumps([[path.name, sha256_of(path)] for path in shards])
            digest = hashlib.sha256(contents.encode()).hexdigest()
            if index.get("digest") != digest:
                index = {}
            else:  # the same files with other times
                index["shards"] = state
                write_json(prepared / INDEX, index)
        else:
            digest = index["digest"]
        corpus = cls._prepared(folder, index)
        if corpus is None:
            make_folder(prepared)
            with awaited_lock(prepared / ".lock", f"decoding {folder}"):
                index = _index(prepared)
                done = index.get("digest") == digest and index.get("shards") == state
                corpus = cls._prepared(folder, index) if done else None  # of another process, while this one waited
                if corpus is None:
                    index = {**_prepare(shards, prepared, digest), "shards": state}
                    write_json(prepared / INDEX, index)  # last: a folder with it is complete
                    (folder / _FORMER).unlink(missing_ok=True)
                    corpus = cls._prepared(folder, index)
                    assert corpus is not None, prepared
        return corpus

    @classmethod
    def _prepared(cls, folder: Path, index: Mapping[str, Any]) -> Corpus | None:
        """What the index tells of; None where a column is missing or damaged."""
        columns: dict[str, np.ndarray] = {}
        for name in index.get("columns", ()) if index.get("texts") == _TEXTS else ():  # else of another release
            value = read_column(folder / PREPARED / f"{name}.safetensors", index["digest"])
            if value is None or (name != BYTES and len(value) != index["count"]):
                return None
            columns[name] = value
        if not columns:
            return None
        content, ends = columns.pop(BYTES), columns.pop(ENDS)
        captions, *words = (Texts(content, ends, which) for which in range(len(_TEXTS)))
        attributes: dict[str, Sequence[str]] = dict(zip(CATEGORIES, words, strict=True))
        return cls(folder, columns, captions, attributes, index["lacking"], digest=index["digest"])


def _index(prepared: Path) -> dict[str, Any]:
    """What `INDEX` holds; nothing where there is none that can be read."""
    try:
        return read_json(prepared / INDEX)
    except MienError:
        return {}


def _says_nothing(values: np.ndarray) -> np.ndarray:
    """Which rows of a column [N, ...] are NaN, bool [N]."""
    return np.isnan(values.reshape(len(values), -1)[:, 0])


def _prepare(shards: list[Path], prepared: Path, digest: str) -> dict[str, Any]:
    """Decode shards into columns, one after another; returns the index."""
    count, end, lacking = 0, 0, Counter[str]()
    with ExitStack() as stack:
        writers: dict[str, Callable[[np.ndarray], None]] = {}
        for shard, (columns, texts) in zip(shards, in_processes(_decode_shard, shards), strict=True):
            if not texts:
                continue
            columns |= text_columns(texts, end)
            count, end = count + len(texts), int(columns[ENDS][-1, -1])
            for name in columns.keys() if not writers else ():
                writers[name] = stack.enter_context(column_writer(prepared / f"{name}.safetensors", digest))
            if writers.keys() != columns.keys():
                raise BadInput(f"{shard} is of pairs and others here are not, or the other way: keep them apart.")
            for name, value in columns.items():
                writers[name](value)
                if value.dtype.kind == "f":
                    lacking[name] += int(_says_nothing(value).sum())
    if not count:
        raise BadInput(f"The shards in {prepared.parent} hold no pictures: make or import some.")
    return {"digest": digest, "count": count, "texts": _TEXTS, "columns": list(writers), "lacking": lacking}


def _decode_shard(path: Path) -> tuple[dict[str, np.ndarray], list[list[str]]]:
    """The arrays of a shard, and the texts of each portrait: its caption and the words of `CATEGORIES`."""
    rows: dict[str, list[Any]] = {}
    texts: list[list[str]] = []
    for entry in read_shard(path):
        height, width = entry.image.shape[:2]
        if height != width:
            raise BadInput(
                f"{path}: the portrait {entry.sample.key} is {width} x {height} pixels, and training takes squares: "
                "crop its picture and mask square, shift its landmarks with them, and write the shard again."
            )
        for key, value in _row(entry).items():
            rows.setdefault(key, []).append(value)
        words = [str(getattr(entry.sample.attributes, name, UNKNOWN)) for name in CATEGORIES]
        texts.append([entry.sample.caption, *words])
    if len({image.shape for image in rows.get("images", [])}) > 1:
        raise BadInput(f"{path} holds portraits of several sizes: training takes one; write it again.")
    return {key: np.stack(value) for key, value in rows.items()}, texts


def _row(entry: Entry) -> dict[str, Any]:
    """The arrays of one portrait."""
    sample, size = entry.sample, entry.image.shape[0]
    mask = np.zeros((size, size), np.uint8) if entry.mask is None else entry.mask
    felt = sample.emotion
    emotion = None if felt is None else [felt.valence, felt.arousal, *felt.probabilities]

    def floats(value: object, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, np.nan, np.float32) if value is None else np.asarray(value, np.float32).reshape(shape)

    row: dict[str, Any] = {
        "images": entry.image,
        "masks": np.asarray(Image.fromarray(mask).resize((MASK_SIZE, MASK_SIZE), Image.Resampling.BOX)),
        "person": np.int64(sample.person),
        "picture": np.int64(sample.picture),
        "flush": floats(sample.flush, ()),
        "coefficients": floats(sample.coefficients, (53,)),
        "gaze": floats(sample.gaze, (2,)),
        "pose": floats(sample.pose, (3,)),
        "landmarks": floats(sample.landmarks, (478, 3)),
        "landmarks_mediapipe": floats(sample.landmarks_mediapipe, (478, 3)),
        "blendshapes_mediapipe": floats(sample.blendshapes_mediapipe, (52,)),
        "pose_mediapipe": floats(sample.pose_mediapipe, (3,)),
        "emotion": floats(emotion, (10,)),
    }
    if entry.matte is not None:
        matte = Image.fromarray(entry.matte).resize((size // 2, size // 2), Image.Resampling.BOX)
        row["mattes"] = np.asarray(matte)
    if sample.template is not None:
        row["templates"] = entry.template
        row["template_landmarks"] = floats(sample.template.landmarks, (478, 3))
    return row | {name: np.float32(getattr(sample.attributes, name, np.nan)) for name in FLOAT_ATTRIBUTES}
