"""Importing: units of files are read, each into a part of its own; at the end the parts become shards.

A unit is some pictures or one video, whatever the number of machines, so the parts are the same for any. Each is kept
in ``.parts`` as a tar of its portraits and then a JSON-lines file of its rows, which take their final names at once; a
unit with rows is done. Finishing numbers people and pictures in the order of the units, and writes ``shard-*.tar`` and
``report.jsonl``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from mien.core.io import sha256_of
from mien.core.log import read_lines, write_lines
from mien.core.progress import Bar, silent
from mien.core.stages.execute import execute
from mien.core.stages.stage import Process, Resources, Stage
from mien.core.stages.trial import Trial, sample_of
from mien.core.text import is_text
from mien.data.importing.layouts import Item, list_items
from mien.data.importing.people import tell_apart
from mien.data.importing.reading import Frame, ImportTools, Portrait, left_out, read_portraits
from mien.data.importing.request import UNIT, ImportRequest, claim_import
from mien.data.schema import Sample
from mien.data.shards import ShardWriter, read_packed, shard_name, shard_paths
from mien.errors import BadInput, MienError

PARTS = ".parts"
REPORT = "report.jsonl"
POISONED = "failed three times"
"""Reason of pictures on which the readers failed."""
BATCH = 16
"""Pictures that a reader is given at once."""


@dataclass(frozen=True, eq=False)
class ImportJob:
    """A dataset that is to be made.

    Attributes:
        source: folder of raw data.
        items: its files.
        folder: of the dataset.
        request: everything else its bytes depend on.
        tools: what reads; None in a job that was sent to another process.
    """

    source: Path
    items: Sequence[Item]
    folder: Path
    request: ImportRequest
    tools: ImportTools | None

    @classmethod
    def open(cls, source: Path, folder: Path, tools: ImportTools, **settings: Any) -> ImportJob:
        """List the files and claim the folder.

        Args:
            source: folder of raw data.
            folder: of the dataset.
            tools: what reads.
            settings: of `ImportRequest`, all but ``files`` and ``models``.

        Raises:
            MienError: if the source is not in the layout, a setting is wrong, or the folder holds another dataset.
        """
        items = list_items(settings["layout"], source)
        listing = [[item.file, (source / item.file).stat().st_size] for item in items]
        models = {name: sha256_of(path) for name, path in sorted(tools.files.items())}
        request = ImportRequest.checked(**settings, files=_digest(listing), models=models)
        claim_import(folder, request)
        return cls(source, items, folder, request, tools)

    @cached_property
    def units(self) -> list[list[Item]]:
        """The work, cut in pieces: a matter of the source alone."""
        found: list[list[Item]] = []
        for is_video, items in groupby(self.items, key=lambda item: item.is_video):
            found += _batched(items, 1 if is_video else UNIT)
        return found

    @property
    def is_finished(self) -> bool:
        """Whether the shards are there."""
        return (self.folder / REPORT).exists()

    def run(
        self,
        open_tools: Callable[[], ImportTools] | None = None,
        bar: Bar = silent,
        **how: Any,
    ) -> bool:
        """Do the units that are not done, and finish where all are.

        Args:
            open_tools: opens what reads in other processes; picklable. Without it all is done in this one.
            bar: makes progress bars.
            how: ``executor``, ``workers``, ``part`` and ``finish_only``, see `mien.core.stages.execute.execute`.

        Returns:
            Whether the dataset is finished.

        Raises:
            MienError: if units are not done that should be, or no picture was kept.
        """
        if self.is_finished:
            return True
        how = how if open_tools is not None else how | {"workers": 1}
        return execute(ImportStage(self.folder, self, open_tools), bar=bar, **how)

    def do(self, unit: int, trial: Trial | None = None) -> None:
        """Read the files of a unit and write its part, without pictures that the trial says have failed too often."""
        portraits: list[Portrait] = []
        numbers: list[int] = []  # of their frames
        with ShardWriter(self.folder / PARTS / f"{unit:06d}.tar") as writer:
            for some in _batched(enumerate(self._frames(unit)), BATCH):
                with sample_of(trial, f"unit {unit}, pictures {some[0][0]} to {some[-1][0]}") as wanted:
                    frames = [frame for _, frame in some]
                    readings = list(self._read(frames)) if wanted else [[left_out(one, POISONED)] for one in frames]
                for (number, _), found in zip(some, readings, strict=True):
                    for portrait in found:
                        if not portrait.row["reason"]:
                            writer.write_files(portrait.sample(unit, len(portraits)), portrait.files)
                        portraits.append(replace(portrait, files={}))
                        numbers.append(number)
        if (lone := self.units[unit][0]).who is None:
            self._tell_apart(lone, numbers, portraits)
        write_lines(self.rows_file(unit), [one.row for one in portraits])
        if trial:
            trial.advance(len(self.units[unit]))

    def _frames(self, unit: int) -> Iterator[Frame]:
        """The pictures of a unit; a file that cannot be read, or no further, ends with a frame that says why."""
        from mien.media.pictures import open_picture
        from mien.media.video import frames_at

        for item in self.units[unit]:
            path = self.source / item.file
            if not is_text(item.file):
                yield Frame(item, None, None, "unreadable: its name is no text in UTF-8")
                continue
            try:
                if item.is_video:
                    yield from (Frame(item, time, image) for time, image in frames_at(path, self.request.every))
                else:
                    yield Frame(item, None, open_picture(path))
            except BadInput as error:
                yield Frame(item, None, None, f"unreadable: {str(error).replace(str(self.source), '').lstrip('/')}")

    def _read(self, frames: Sequence[Frame]) -> Iterator[list[Portrait]]:
        """What is found in each frame."""
        assert self.tools is not None
        found = iter(read_portraits(self.tools, self.request, [one for one in frames if one.image is not None]))
        for frame in frames:
            yield next(found) if frame.image is not None else [left_out(frame, frame.error)]

    def _tell_apart(self, item: Item, numbers: Sequence[int], portraits: Sequence[Portrait]) -> None:
        """Give the faces of a video names."""
        if all(one.identity is None for one in portraits):
            return
        there = [(number, one) for number, one in zip(numbers, portraits, strict=True) if one.identity is not None]
        identities = np.array([one.identity for _, one in there], np.float32)
        boxes = [one.row["box"] for _, one in there]
        people = tell_apart([number for number, _ in there], boxes, identities, self.request.same)
        for (_, one), person in zip(there, people, strict=True):
            one.row["who"] = f"{item.file}#{person}"

    def summary(self) -> dict[str, Any]:
        """The numbers of the finished dataset, see `summary`; what was in progress is removed."""
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)
        return summary(self.folder)

    def write_shards(self) -> None:
        """Make shards and the report of all units.

        Raises:
            MienError: if no picture was kept.
        """
        rows = [row for unit in range(len(self.units)) for row in read_rows(self.rows_file(unit))]
        people = {who: number for number, who in enumerate(dict.fromkeys(r["who"] for r in rows if not r["reason"]))}
        if not people:
            raise MienError(f"No picture of {self.source} was kept: {_reasons(rows)}.")
        for path in shard_paths(self.folder):
            path.unlink()  # of a finishing that was killed
        portraits = (one for unit in range(len(self.units)) for one in read_packed(self.part_file(unit)))
        counts: Counter[str] = Counter()
        kept = iter([row for row in rows if not row["reason"]])
        for number, some in enumerate(_batched(portraits, self.request.per_shard)):
            with ShardWriter(self.folder / shard_name(number)) as writer:
                for packed in some:
                    row = next(kept)
                    sample = named(packed.sample, people[row["who"]], counts[row["who"]], row["who"])
                    counts[row["who"]] += 1
                    writer.write_files(sample, packed.files)
                    row["key"] = sample.key
        write_lines(self.folder / REPORT, rows)  # last: a folder with it is finished

    def part_file(self, unit: int) -> Path:
        """The portraits of a unit."""
        return self.folder / PARTS / f"{unit:06d}.tar"

    def rows_file(self, unit: int) -> Path:
        """The rows of a unit."""
        return self.folder / PARTS / f"{unit:06d}.jsonl"


@dataclass
class ImportStage(Stage):
    """The units of an import.

    Attributes:
        folder: of the dataset.
        job: what is imported.
        open_tools: opens what reads, in other processes.
    """

    name: ClassVar[str] = "importing"
    resources = Resources(gpus=0.25)

    folder: Path
    job: ImportJob
    open_tools: Callable[[], ImportTools] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the readers, which no other process can have."""
        return vars(self) | {"job": replace(self.job, tools=None)}

    @property
    def count(self) -> int:
        """Of units."""
        return len(self.job.units)

    def inputs(self) -> Sequence[Path]:
        """The raw data."""
        return (self.job.source,)

    def outputs(self, task: int) -> Sequence[Path]:
        """Portraits and rows of a unit; the rows are written last."""
        return self.job.part_file(task), self.job.rows_file(task)

    def size(self, task: int) -> int:
        """Files of a unit."""
        return len(self.job.units[task])

    def setup(self) -> Process:
        """Open what reads."""
        job = self.job
        if job.tools is None:
            assert self.open_tools is not None
            job = replace(job, tools=self.open_tools())
        return job.do

    def finish(self) -> None:
        """Shards and report."""
        self.job.write_shards()


def summary(folder: Path) -> dict[str, Any]:
    """The numbers of a finished import.

    Raises:
        BadInput: if its report is damaged.
    """
    rows = read_rows(folder / REPORT)
    kept = [row for row in rows if not row["reason"]]
    return {
        "pictures": len(kept),
        "people": len({row["who"] for row in kept}),
        "shards": len(shard_paths(folder)),
        "left_out": len(rows) - len(kept),
        "reasons": dict(sorted(Counter(_short(row["reason"]) for row in rows if row["reason"]).items())),
    }


def named(sample: Sample, person: int, picture: int, who: str) -> Sample:
    """An imported record under its numbers and the person's name."""
    assert sample.origin is not None, sample.key
    origin = sample.origin.model_copy(update={"who": who})
    return sample.model_copy(update={"person": person, "picture": picture, "origin": origin})


def _short(reason: str) -> str:
    return reason.partition(":")[0]


def _reasons(rows: Sequence[dict[str, Any]]) -> str:
    counts = Counter(_short(row["reason"]) for row in rows)
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items())) or "there are no frames"


T = TypeVar("T")


def _batched(values: Iterable[T], count: int) -> Iterator[list[T]]:
    """Lists of ``count`` values that follow each other, the last perhaps of fewer."""
    left = iter(values)
    while some := list(islice(left, count)):
        yield some


def _digest(listing: object) -> str:
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a report, or of a unit's part of it.

    Raises:
        MienError: if it is damaged or gone.
    """
    rows = read_lines(path)
    sound = all(isinstance(row, dict) and isinstance(row.get("reason"), str) and "who" in row for row in rows)
    if not path.is_file() or not sound:
        raise MienError(f"{path} is damaged: remove it, and import again.")
    return rows
