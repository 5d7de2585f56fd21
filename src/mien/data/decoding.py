"""Shards decoded into columns on disk, once: by all processes and machines that ask for them at the same time.

A shard is a part (`mien.data.shared_columns.make_together`): first each is hashed and counted, which says where its
rows lie, then each is decoded into its rows of the columns' files. What a dead process was at is made again by another
one, a stopped preparation goes on where it was, and no process waits for another while there is a shard to decode.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.core.io import make_folder, read_json, sha256_of, write_json
from mien.core.log import awaited_lock
from mien.core.processes import in_processes, own_cores
from mien.data.columns import column_writer, read_column, write_header
from mien.data.shards import Entry, count_portraits, read_shard
from mien.data.shared_columns import alike, make_together, said_of, take_away, write_rows
from mien.data.texts import BYTES, ENDS, text_columns
from mien.errors import BadInput, MienError

log = logging.getLogger(__name__)
INDEX = "index.json"
"""Which columns there are, of which shards, and how many rows of each say nothing."""
MASK_SIZE = 64
UNKNOWN = "unknown"
"""Word of an attribute of a photograph."""
FLOAT_ATTRIBUTES = ("skin_tone", "age", "gender")
CATEGORIES = ("hair_style", "hair_color", "hair_length", "beard", "glasses", "glasses_color", "background", "clothing",
              "light", "headwear", "headwear_color", "eye_color")  # fmt: skip
TEXTS = ["caption", *CATEGORIES]
"""What is kept as texts of each row."""
ARCFACE = "arcface"
"""What records (``read_by``) and ``import.json`` (``models``) call a face recognition network that bases read."""
IDENTITY = "identity_arcface"
"""Column of the embeddings by it that records hold."""
_COUNTED, _DECODED = "counted", "decoded"
"""Folders of a preparation in progress, for its two passes over the shards."""


def prepare(shards: Sequence[Path], prepared: Path) -> dict[str, Any]:
    """Decode the shards of a data set, or what is missing of that; other processes may be at it too.

    Args:
        shards: in order.
        prepared: folder for the columns and their index.

    Returns:
        The index: ``digest`` over the shards' names and contents, ``count`` of rows, names of ``columns`` and of
        ``texts``, how many rows of each column are ``lacking``, and ``shards``.

    Raises:
        BadInput: if a shard is damaged, portraits are not alike, or there are none.
        MienError: if the disk is full.
    """
    about = [(path.name, path.stat()) for path in shards]
    state = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in about]
    work = prepared / f".parts-{hashlib.sha256(json.dumps(state).encode()).hexdigest()[:12]}"
    index = _index(prepared)
    if index.get("shards") == state and index.get("texts") == TEXTS:
        return index
    try:
        return _made(shards, prepared, work, state)
    except (FileNotFoundError, MienError):
        index = _index(prepared)
        if index.get("shards") != state or index.get("texts") != TEXTS:
            raise
        return index  # another process has finished, and taken the folder away


def forget(prepared: Path) -> None:
    """Take the index away, of which a column is gone or damaged, so that all are made again."""
    (prepared / INDEX).unlink(missing_ok=True)


def _made(shards: Sequence[Path], prepared: Path, work: Path, state: list[Any]) -> dict[str, Any]:
    make_folder(work)
    _by_processes(_count, shards, work / _COUNTED)
    counted = said_of(work / _COUNTED, len(shards))
    contents = [[path.name, one["sha256"]] for path, one in zip(shards, counted, strict=True)]
    digest = hashlib.sha256(json.dumps(contents).encode()).hexdigest()
    first = [0, *np.cumsum([one["count"] for one in counted]).tolist()]
    if not first[-1]:
        take_away(work)
        raise BadInput(f"The shards in {prepared.parent} hold no pictures: make or import some.")
    if not _is_of(_index(prepared), digest):
        _by_processes(_decode, shards, work / _DECODED, first)
    with awaited_lock(prepared / ".lock", f"decoding {prepared.parent}"):
        index = _index(prepared)
        if not _is_of(index, digest):  # else another process has finished, or only times of files are others
            index = _finished(shards, prepared, work / _DECODED, digest, first[-1])
        index["shards"] = state
        write_json(prepared / INDEX, index)  # last: a folder with it is complete
        for left in prepared.glob(".parts-*"):
            take_away(left)
    return index


def _is_of(index: dict[str, Any], digest: str) -> bool:
    """Whether the columns of an index are of these shards, with the texts of this release."""
    return index.get("digest") == digest and index.get("texts") == TEXTS


def _index(prepared: Path) -> dict[str, Any]:
    """What `INDEX` holds; nothing where there is none that can be read."""
    try:
        found = read_json(prepared / INDEX)
    except MienError:
        return {}
    return found if isinstance(found, dict) else {}


def _by_processes(work: Any, shards: Sequence[Path], *more: Any) -> None:
    """A pass over the shards, by as many processes as this one's share of the cores allows."""
    count = min(own_cores(), len(shards))
    for _ in in_processes(work, [list(shards)] * count, *([one] * count for one in more)):
        pass


def _count(shards: list[Path], parts: Path) -> None:
    """Hash and count the shards that nobody has."""
    make_together(
        parts, len(shards), lambda number: {
            "sha256": sha256_of(shards[number]), "count": count_portraits(shards[number])
        },
    )  # fmt: skip


def _decode(shards: list[Path], parts: Path, first: list[int]) -> None:
    """Decode the shards that nobody has into their rows."""

    def make(number: int) -> dict[str, Any]:
        columns, texts = _decode_shard(shards[number])
        if len(texts) != first[number + 1] - first[number]:
            raise BadInput(f"{shards[number]} was changed while it was read: start again.")
        if not texts:
            return {}
        for name, values in columns.items():
            write_rows(parts / f"{name}.values", first[number], values)
        for name, values in text_columns(texts, 0).items():
            with column_writer(parts / f"{name}-{number:06d}", "") as append:
                append(values)
        return {
            name: {
                "shape": list(values.shape[1:]), "dtype": values.dtype.name,
                "lacking": int(says_nothing(values).sum()) if values.dtype.kind == "f" else None,
            }
            for name, values in columns.items()
        }  # fmt: skip

    make_together(parts, len(shards), make)


def _finished(shards: Sequence[Path], prepared: Path, parts: Path, digest: str, count: int) -> dict[str, Any]:
    """Give the columns their headers and names; the index without the shards."""
    said = said_of(parts, len(shards))
    full = [number for number, one in enumerate(said) if one]
    names = list(said[full[0]])
    for number in full:
        if said[number].keys() != said[full[0]].keys():
            raise BadInput(f"{shards[number]} is of pairs and others here are not, or the other way: keep them apart.")
    lacking = Counter[str]()
    for name in names:
        kinds = [{part: said[number][name][part] for part in ("shape", "dtype")} for number in full]
        about = alike(name, kinds)
        if said[full[0]][name]["lacking"] is not None:
            lacking[name] = sum(said[number][name]["lacking"] for number in full)
        values = parts / f"{name}.values"
        if values.exists():  # else it has its name already: the process that gave it was killed
            write_header(values, digest, (count, *about["shape"]), np.dtype(about["dtype"]))
            values.replace(prepared / f"{name}.safetensors")
    with (
        column_writer(prepared / f"{BYTES}.safetensors", digest) as content,
        column_writer(prepared / f"{ENDS}.safetensors", digest) as ends,
    ):
        end = 0
        for number in full:
            own, places = (read_column(parts / f"{name}-{number:06d}", "") for name in (BYTES, ENDS))
            if own is None or places is None:
                raise BadInput(f"{parts} is damaged: remove it and start again.")
            content(own)
            ends(places + end)
            end += len(own)
    return {"digest": digest, "count": count, "texts": TEXTS, "columns": [*names, BYTES, ENDS], "lacking": lacking}


def says_nothing(values: np.ndarray) -> np.ndarray:
    """Which rows of a column [N, ...] are NaN, bool [N]."""
    return np.isnan(values.reshape(len(values), -1)[:, 0])


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
    known = sample.origin is not None and sample.origin.read_by.get("identity") == ARCFACE

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
        IDENTITY: floats(sample.identity if known else None, (512,)).astype(np.float16),
    }
    if entry.matte is not None:
        matte = Image.fromarray(entry.matte).resize((size // 2, size // 2), Image.Resampling.BOX)
        row["mattes"] = np.asarray(matte)
    if sample.template is not None:
        row["templates"] = entry.template
        row["template_landmarks"] = floats(sample.template.landmarks, (478, 3))
    return row | {name: np.float32(getattr(sample.attributes, name, np.nan)) for name in FLOAT_ATTRIBUTES}
