"""``mien data check``: what a dataset holds, which stages it can train, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.core.progress import Bar, silent
from mien.data.corpus import Corpus
from mien.data.importing.job import REPORT, read_rows
from mien.data.needs import lacking, needs_of
from mien.data.pairs import Pairs
from mien.data.schema import Sample
from mien.data.shards import read_packed, shard_paths
from mien.errors import BadInput, MienError

THUMB = 24
"""Side of the grey pictures that are compared."""
DUPLICATE = 0.985
"""Correlation of two such pictures from which they count as nearly the same (*ours*)."""
SAME_PERSON = 0.5
"""Cosine of two people's mean ArcFace embeddings from which they may be one (*ours*)."""
_BLOCK = 2048
"""Pictures of a dataset that are compared with all of the other at once."""


@dataclass(frozen=True)
class _Stage:
    """A stage of the papers.

    Attributes:
        name: for people.
        presets: that train it.
        needs: see `mien.data.needs`.
        same_pose: whether its pairs are of one pose; None where it takes no pairs.
        people: how many there must be.
        templates: whether each picture needs another person's face with its expression.
    """

    name: str
    presets: str
    needs: tuple[str, ...]
    same_pose: bool | None
    people: int = 1
    templates: bool = False


STAGES: Sequence[_Stage] = (
    _Stage("landmark branch", "facecrafter-landmarks", needs_of("BranchObjective"), False),
    _Stage("emotion branch", "facecrafter-emotion", needs_of("BranchObjective", ("emotion",)), True),
    _Stage("joint stage", "facecrafter-joint", needs_of("JointObjective"), False),
    _Stage("E-Adapter", "emojidiff-base", needs_of("BranchObjective"), False),
    _Stage("refined E-Adapter", "emojidiff-refined", needs_of("BranchObjective"), False, templates=True),
    _Stage("ICA", "emojidiff-alignment", needs_of("AlignmentObjective"), False, templates=True),
    _Stage("pairs of IDI", "mien pairs build", ("landmarks", "blendshapes"), None, people=3),
)


@dataclass(frozen=True, eq=False)
class Contents:
    """A dataset's records and small grey pictures.

    Attributes:
        folder: of the dataset.
        samples: records; without landmarks and embedding, to save memory.
        has: field -> in which pictures it is there, bool [N].
        corpus: the columns that pairs are told by.
        sizes: ``WIDTH x HEIGHT ENDING`` -> pictures.
        thumbs: [N, THUMB * THUMB], mean 0, L2 norm 1.
        identities: [N, 512], NaN where there is none.
        damaged: sentences about shards and pictures that cannot be read.
    """

    folder: Path
    samples: list[Sample]
    has: Mapping[str, NDArray[np.bool_]]
    corpus: Corpus
    sizes: Mapping[str, int]
    thumbs: NDArray[np.float32]
    identities: NDArray[np.float32]
    damaged: list[str] = field(default_factory=list)


_FIELDS = ("caption", "landmarks", "landmarks_mediapipe", "blendshapes_mediapipe", "pose_mediapipe", "emotion",
           "identity", "coefficients", "attributes", "template", "mask")  # fmt: skip


def read_contents(folder: Path, bar: Bar = silent) -> Contents:
    """Go through all shards of a folder, damaged ones too.

    Raises:
        BadInput: if there is none, or no picture in any can be read.
    """
    paths = shard_paths(folder)
    if not paths:
        raise BadInput(f"No shards in {folder}: make them with  mien data import  or  mien studio render.")
    columns: dict[str, list[Any]] = {name: [] for name in (*_COLUMNS, "person", "thumbs", "identity")}
    has: dict[str, list[bool]] = {name: [] for name in _FIELDS}
    samples: list[Sample] = []
    sizes: Counter[str] = Counter()
    damaged: list[str] = []
    with bar(len(paths), "checking") as advance:
        for path in paths:
            try:
                for packed in read_packed(path):
                    try:
                        image = packed.image()
                    except BadInput as error:
                        damaged.append(str(error))
                        continue
                    sample = packed.sample
                    sizes[f"{image.shape[1]} x {image.shape[0]} {packed.ending}"] += 1
                    columns["thumbs"].append(thumb(image))
                    for name in has:
                        has[name].append("mask.png" in packed.files if name == "mask" else bool(getattr(sample, name)))
                    _fill(columns, sample)
                    light = {"landmarks": None, "landmarks_mediapipe": None, "identity": None, "template": None}
                    samples.append(sample.model_copy(update=light))
            except MienError as error:
                damaged.append(str(error))
            advance(1)
    if not samples:
        raise BadInput(f"No picture in {folder} can be read: {damaged[0]}")
    arrays: dict[str, NDArray[Any]] = {name: np.array(columns[name], np.float32) for name in _COLUMNS}
    arrays["person"] = np.array(columns["person"], np.int64)
    corpus = Corpus(folder, arrays, [one.caption for one in samples], {})
    there = {name: np.array(values, bool) for name, values in has.items()}
    return Contents(
        folder, samples, there, corpus, dict(sizes), np.array(columns["thumbs"], np.float32),
        np.array(columns["identity"], np.float32), damaged,
    )  # fmt: skip


_COLUMNS = {"coefficients": 53, "blendshapes_mediapipe": 52, "pose": 3, "pose_mediapipe": 3, "landmarks": 1,
            "landmarks_mediapipe": 1, "emotion": 1}  # fmt: skip
"""Columns of the small corpus -> numbers a row; of the last three it is enough whether they are there."""


def _fill(columns: dict[str, list[Any]], sample: Sample) -> None:
    for name, width in _COLUMNS.items():
        value = getattr(sample, name)
        columns[name].append([np.nan] * width if value is None else [0.0] if width == 1 else list(value))
    columns["person"].append(sample.person)
    columns["identity"].append([np.nan] * 512 if sample.identity is None else sample.identity)


def thumb(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture as a small grey one of mean 0 and L2 norm 1, so that a product of two is their correlation."""
    grey = Image.fromarray(image).convert("L").resize((THUMB, THUMB), Image.Resampling.BOX)
    values = np.asarray(grey, np.float32).ravel()
    values = values - values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)


def check(contents: Contents, test: Contents | None = None) -> dict[str, Any]:
    """The report of a dataset as JSON.

    Args:
        contents: the dataset.
        test: the one that models are tested on, which must not hold the same pictures or people.
    """
    people = Counter(one.person for one in contents.samples)
    counts = np.array(list(people.values()))
    report: dict[str, Any] = {
        "pictures": len(contents.samples),
        "people": len(people),
        "pictures_a_person": {
            "least": int(counts.min()),
            "median": float(np.median(counts)),
            "most": int(counts.max()),
        },
        "sizes": dict(sorted(contents.sizes.items())),
        "fields": {name: int(values.sum()) for name, values in contents.has.items()},
        "read_by": read_by(contents.samples),
        "labels": labels(contents.samples),
        "stages": [_stage(one, contents) for one in STAGES],
        "damaged": contents.damaged,
        "left_out": left_out(contents.folder),
    }
    if test is not None:
        report["test"] = {"folder": str(test.folder), "pictures": len(test.samples)} | overlap(contents, test)
    return report


def read_by(samples: Sequence[Sample]) -> dict[str, dict[str, int]]:
    """Field -> who gave it -> in how many pictures; of imported ones."""
    found: dict[str, Counter[str]] = {}
    for sample in samples:
        for name, who in (sample.origin.read_by if sample.origin else {}).items():
            found.setdefault(name, Counter())[who] += 1
    return {name: dict(sorted(counts.items())) for name, counts in sorted(found.items())}


def labels(samples: Sequence[Sample]) -> dict[str, dict[str, int]]:
    """Label of the dataset's own -> value -> pictures; of labels with few values."""
    found: dict[str, Counter[str]] = {}
    for sample in samples:
        for name, value in (sample.origin.labels if sample.origin else {}).items():
            found.setdefault(name, Counter())[value] += 1
    return {name: dict(sorted(counts.items())) for name, counts in sorted(found.items()) if len(counts) <= 20}


def _stage(stage: _Stage, contents: Contents) -> dict[str, Any]:
    """Whether a stage can be trained, and what is in the way."""
    corpus = contents.corpus
    problems = [f"{count} pictures have no {need}" for need, count in lacking(corpus, stage.needs).items()]
    found: dict[str, Any] = {"name": stage.name, "command": stage.presets}
    if corpus.people < stage.people:
        problems.append(f"{stage.people} people are needed and there are {corpus.people}")
    if stage.templates and (without := int((~contents.has["template"]).sum())):
        problems.append(f"{without} pictures have no template: build pairs with mien pairs build")
    if stage.same_pose is not None:
        try:
            share, _ = Pairs(corpus, stage.same_pose).shares()
            found["with_partner"] = round(share * len(corpus))
        except BadInput:
            found["with_partner"] = 0
            problems.append("no person has two pictures that differ as this stage wants")
    return found | {"possible": not problems, "problems": problems}


def left_out(folder: Path) -> dict[str, int]:
    """Reason -> pictures that an import left out; empty for other datasets."""
    rows = read_rows(folder / REPORT) if (folder / REPORT).is_file() else []
    return dict(sorted(Counter(row["reason"].partition(":")[0] for row in rows if row["reason"]).items()))


def overlap(train: Contents, test: Contents) -> dict[str, Any]:
    """Pictures and people of a training set that are also in a test set."""
    duplicates = []
    for start in range(0, len(test.thumbs), _BLOCK):
        alike = test.thumbs[start : start + _BLOCK] @ train.thumbs.T
        best = alike.argmax(1)
        for row in np.flatnonzero(alike.max(1) >= DUPLICATE).tolist():
            duplicates.append([train.samples[int(best[row])].key, test.samples[start + row].key])
    return {"near_duplicates": duplicates, "people_in_both": _people_in_both(train, test)}


def _people_in_both(train: Contents, test: Contents) -> list[list[str]]:
    """People whose mean embeddings are alike, or that have one name; the studio's embedder is not asked."""
    (first, names), (second, others) = _means(train), _means(test)
    found = {(a, b) for a in names for b in others if a == b}
    if len(first) and len(second):
        for start in range(0, len(second), _BLOCK):
            rows, columns = np.nonzero(second[start : start + _BLOCK] @ first.T >= SAME_PERSON)
            found |= {(names[column], others[start + row]) for row, column in zip(rows, columns, strict=True)}
    return [list(pair) for pair in sorted(found)]


def _means(contents: Contents) -> tuple[NDArray[np.float32], list[str]]:
    """Mean embedding [P, 512] of each person that an outside network embedded, and their names."""
    rows: dict[str, list[int]] = {}
    for row, sample in enumerate(contents.samples):
        if sample.origin is not None and sample.origin.read_by.get("identity", "studio") != "studio":
            rows.setdefault(sample.origin.who, []).append(row)
    means = [contents.identities[which].mean(0) for which in rows.values()]
    matrix = np.array(means, np.float32).reshape(len(means), 512)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True).clip(1e-6), list(rows)
