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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mien.core.io import sha256_of, write_text
from mien.core.progress import Bar, silent
from mien.data.importing.layouts import Item, list_items
from mien.data.importing.people import tell_apart
from mien.data.importing.reading import Frame, ImportTools, Portrait, left_out, read_portraits
from mien.data.importing.request import UNIT, ImportRequest, claim_import
from mien.data.schema import Sample
from mien.data.shards import ShardWriter, read_packed, shard_name, shard_paths
from mien.errors import BadInput, MienError

PARTS = ".parts"
REPORT = "report.jsonl"
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
        tools: what reads.
    """

    source: Path
    items: Sequence[Item]
    folder: Path
    request: ImportRequest
    tools: ImportTools

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

    def is_done(self, unit: int) -> bool:
        """Whether a unit's rows are there."""
        return self._rows_file(unit).exists()

    @property
    def is_finished(self) -> bool:
        """Whether the shards are there."""
        return (self.folder / REPORT).exists()

    def run(self, part: tuple[int, int] = (1, 1), bar: Bar = silent) -> int:
        """Do one machine's share of the units that are not done.

        Args:
            part: (number from 1, how many there are).
            bar: makes progress bars.

        Returns:
            How many units were done.
        """
        own = range(0) if self.is_finished else range(part[0] - 1, len(self.units), part[1])
        todo = [unit for unit in own if not self.is_done(unit)]
        with bar(len(todo), "importing") as advance:
            for unit in todo:
                self.do(unit)
                advance(1)
        return len(todo)

    def do(self, unit: int) -> None:
        """Read the files of a unit and write its part."""
        portraits: list[Portrait] = []
        numbers: list[int] = []  # of their frames
        with ShardWriter(self.folder / PARTS / f"{unit:06d}.tar") as writer:
            for some in _batched(enumerate(self._frames(unit)), BATCH):
                for (number, _), found in zip(some, self._read([frame for _, frame in some]), strict=True):
                    for portrait in found:
                        if not portrait.row["reason"]:
                            writer.write_files(portrait.sample(unit, len(portraits)), portrait.files)
                        portraits.append(replace(portrait, files={}))
                        numbers.append(number)
        if (lone := self.units[unit][0]).who is None:
            self._tell_apart(lone, numbers, portraits)
        _write_lines(self._rows_file(unit), [one.row for one in portraits])

    def _frames(self, unit: int) -> Iterator[Frame]:
        """The pictures of a unit; a file that cannot be read, or no further, ends with a frame that says why."""
        from mien.media.pictures import open_picture
        from mien.media.video import frames_at

        for item in self.units[unit]:
            path = self.source / item.file
            try:
                if item.is_video:
                    yield from (Frame(item, time, image) for time, image in frames_at(path, self.request.every))
                else:
                    yield Frame(item, None, open_picture(path))
            except BadInput as error:
                yield Frame(item, None, None, f"unreadable: {str(error).replace(str(self.source), '').lstrip('/')}")

    def _read(self, frames: Sequence[Frame]) -> Iterator[list[Portrait]]:
        """What is found in each frame."""
        found = iter(read_portraits(self.tools, self.request, [one for one in frames if one.image is not None]))
        for frame in frames:
            yield next(found) if frame.image is not None else [left_out(frame, frame.error)]

    def _tell_apart(self, item: Item, numbers: Sequence[int], portraits: Sequence[Portrait]) -> None:
        """Give the faces of a video names."""
        there = [(number, one) for number, one in zip(numbers, portraits, strict=True) if one.identity is not None]
        identities = np.array([one.identity for _, one in there], np.float32).reshape(len(there), -1)
        boxes = [one.row["box"] for _, one in there]
        people = tell_apart([number for number, _ in there], boxes, identities, self.request.same)
        for (_, one), person in zip(there, people, strict=True):
            one.row["who"] = f"{item.file}#{person}"

    def finish(self) -> dict[str, Any]:
        """Make shards and the report of all parts, if they are not made.

        Returns:
            Numbers: ``pictures``, ``people``, ``shards``, ``left_out`` and ``reasons``.

        Raises:
            MienError: if a unit is not done, or no picture was kept.
        """
        if not self.is_finished:
            missing = [unit for unit in range(len(self.units)) if not self.is_done(unit)]
            if missing:
                raise MienError(
                    f"{len(missing)} of {len(self.units)} units of the import are not done: run the command of every "
                    "part again, then this one."
                )
            self._write_shards()
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)
        return summary(self.folder)

    def _write_shards(self) -> None:
        rows = [row for unit in range(len(self.units)) for row in _read_lines(self._rows_file(unit))]
        people = {who: number for number, who in enumerate(dict.fromkeys(r["who"] for r in rows if not r["reason"]))}
        if not people:
            raise MienError(f"No picture of {self.source} was kept: {_reasons(rows)}.")
        for path in shard_paths(self.folder):
            path.unlink()  # of a finishing that was killed
        portraits = (one for unit in range(len(self.units)) for one in read_packed(self._part(unit)))
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
        _write_lines(self.folder / REPORT, rows)  # last: a folder with it is finished

    def _part(self, unit: int) -> Path:
        return self.folder / PARTS / f"{unit:06d}.tar"

    def _rows_file(self, unit: int) -> Path:
        return self.folder / PARTS / f"{unit:06d}.jsonl"


def summary(folder: Path) -> dict[str, Any]:
    """The numbers of a finished import.

    Raises:
        MienError: if its report is damaged.
    """
    rows = list(_read_lines(folder / REPORT))
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


def _digest(listing: Any) -> str:
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)
    except (OSError, ValueError) as error:
        raise MienError(f"{path} is damaged ({error}): remove it, and import again.") from error
