"""Making pairs: every target is attempted, judged and written; the same call goes on where it was stopped.

Work is kept in ``.parts``, a tar of the pairs and then a JSON of all attempts for each batch, each taking its final
name at once; at the end they become shards, ``manifest.parquet`` and the report, all a matter of the request alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.core.io import read_json, write_json
from mien.core.log import only_process
from mien.core.progress import Bar, silent
from mien.core.stages.execute import execute
from mien.core.stages.stage import Process, Resources, Stage
from mien.core.stages.trial import Trial, sample_of
from mien.data.idi.filters import Read, Verdict, judge_template, judged_again
from mien.data.idi.folder import claim_pairs, is_finished, pairs_file, report_of, rows_file
from mien.data.idi.makers import Job, Picture, TemplateMaker
from mien.data.idi.manifest import MANIFEST, write_manifest
from mien.data.idi.report import write_report
from mien.data.idi.request import PairsRequest
from mien.data.idi.source import Portraits
from mien.data.schema import Sample, Template
from mien.data.shards import Entry, ShardWriter, read_shard, shard_name
from mien.errors import BadInput
from mien.faces.observed import DetectedFace, largest_face
from mien.generation.tools import FaceTools

LOCK = ".lock"
REMEMBERED = 64
"""Targets whose reading is kept, picture and all."""
_PEOPLE = 65_536
"""Portraits whose embedding alone is kept: they stand beside many targets as second and third person."""
_TRIES = 200
"""Portraits drawn for a second and third person before the dataset is said to hold nobody else."""


@dataclass(frozen=True, eq=False)
class Builder:
    """What a build works with.

    Attributes:
        request: what is asked for.
        portraits: the data set.
        maker: makes templates.
        tools: reads faces.
        quality: LIQE, see `mien.data.idi.quality`; None where it is not asked.
    """

    request: PairsRequest
    portraits: Portraits
    maker: TemplateMaker
    tools: FaceTools
    quality: Callable[[NDArray[np.uint8]], float] | None = None

    def build(self, folder: Path, bar: Bar = silent) -> dict[str, Any]:
        """Make all pairs, or those that are missing.

        Args:
            folder: for ``shard-*.tar``, ``manifest.parquet``, ``report.html`` and ``pairs.json``.
            bar: makes progress bars.

        Returns:
            The numbers of the report.

        Raises:
            ConfigError: if the folder holds other pairs.
            BadInput: if no attempt was kept.
            MienError: if another process makes them.
        """
        claim_pairs(folder, self.request)
        with only_process(folder / LOCK, f"the pairs in {folder}"):
            if not is_finished(folder):
                execute(PairsStage(folder, self.request, self), workers=1, bar=bar)
            return report_of(folder)

    def _batch(self, folder: Path, number: int, trial: Trial | None = None) -> None:
        rows: list[dict[str, Any]] = []
        kept: dict[int, Entry] = {}
        targets: dict[int, Read] = {}
        for row in self.request.rows(number):
            with sample_of(trial, f"target {row}") as wanted:
                if wanted:
                    targets[row] = self.read(row)
        for row, target in targets.items():
            if target.face is None:
                nobody = Verdict(None, None, None, None, "no face in the target")
                rows.append(self._record(row, 0, None, (None, None), nobody, None))
        left = [row for row, target in targets.items() if target.face is not None]
        for attempt in range(self.request.attempts):
            jobs = {row: self.job(row, attempt, targets[row]) for row in left}
            made: Sequence[Picture] = []
            with sample_of(trial, f"batch {number}, attempt {attempt}") as wanted:  # drawn together, lost together
                if wanted and jobs:
                    made = self.maker.make([job for job, _ in jobs.values()])
            jobs = jobs if made else {}
            for (row, (job, keys)), picture in zip(jobs.items(), made, strict=True):
                template = self.look(picture)
                verdict = judge_template(template, job.target, self.request.thresholds, self.quality)
                alike = None if template.identity is None else round(float(template.identity @ job.third), 5)
                rows.append(self._record(row, attempt, job.seed, keys, verdict, alike))
                if verdict.kept:
                    kept[row] = self._pair(row, template, job)
            left = [row for row in left if row not in kept]
        with ShardWriter(pairs_file(folder, number)) as writer:
            for row in sorted(kept):
                writer.write(kept[row])
        write_json(rows_file(folder, number), sorted(rows, key=lambda one: (one["row"], one["attempt"])))
        if trial:
            trial.advance(len(self.request.rows(number)))

    @cached_property
    def read(self) -> Callable[[int], Read]:
        """Reads a portrait by its row, once while it is remembered."""

        def look(row: int) -> Read:
            found = self.look(self.portraits[row].image)
            self._faces[row] = found.identity
            return found

        return lru_cache(maxsize=REMEMBERED)(look)

    def look(self, image: np.ndarray) -> Read:
        """Read a picture."""
        from PIL import Image

        picture = Image.fromarray(image)
        face = largest_face(self.tools, picture)
        return Read(image, face, None if face is None else self.tools.embed(DetectedFace(picture, face))[0])

    def job(self, row: int, attempt: int, target: Read) -> tuple[Job, tuple[str, str]]:
        """An attempt with its second and third person, and their keys."""
        sample = self.portraits.sample(row)
        rng = np.random.default_rng([self.request.seed, row, attempt])
        (second, second_face), (third, third_face) = self._others(row, rng)
        job = Job(target, sample, second_face, third_face, third, int(rng.integers(2**31 - 1)))
        return job, (second.key, third.key)

    @cached_property
    def _faces(self) -> dict[int, NDArray[np.float32] | None]:
        """Embeddings of portraits that were read, by row."""
        return {}

    def _face_of(self, row: int) -> NDArray[np.float32] | None:
        """The embedding of a portrait; None without a face."""
        if row not in self._faces:
            if len(self._faces) >= _PEOPLE:
                self._faces.clear()
            self._faces[row] = self.look(self.portraits[row].image).identity
        return self._faces[row]

    def _others(self, row: int, rng: np.random.Generator) -> list[tuple[Sample, NDArray[np.float32]]]:
        """Two portraits with faces, of two further people anywhere in the dataset, with their embeddings [512]."""
        seen, found = {self.portraits.sample(row).person}, []
        for other in rng.integers(0, len(self.portraits), _TRIES).tolist():
            sample = self.portraits.sample(other)
            if sample.person not in seen and (face := self._face_of(other)) is not None:
                seen.add(sample.person)
                found.append((sample, face))
            if len(found) == 2:
                return found
        raise BadInput(
            f"{self.portraits.folder} holds fewer than three people whose face can be read; pairs need a second and a "
            "third person beside the target's."
        )

    def _pair(self, row: int, template: Read, job: Job) -> Entry:
        entry, face = self.portraits[row], template.face
        assert face is not None and face.landmarks is not None
        template_record = Template(
            source=self.maker.name,
            person=job.third_sample.person if self.maker.name == "oracle" else None,
            landmarks=np.round(np.asarray(face.landmarks, np.float64), 2).tolist(),
        )
        return replace(
            entry, sample=entry.sample.model_copy(update={"template": template_record}), template=template.image
        )

    def _record(
        self, row: int, attempt: int, seed: int | None, keys: tuple[str | None, str | None], verdict: Verdict,
        alike: float | None,
    ) -> dict[str, Any]:  # fmt: skip
        """A row of the manifest."""
        columns = {"row": row, "key": self.portraits.sample(row).key, "attempt": attempt, "seed": seed}
        columns |= {"second": keys[0], "third": keys[1]} | verdict.columns()
        return columns | {"identity_third": alike, "maker": self.maker.name}


class Opens(Protocol):
    """What a process of its own opens its models by."""

    def open(self) -> Builder:
        """Load them."""
        ...


@dataclass
class PairsStage(Stage):
    """The batches of a set of pairs.

    Attributes:
        folder: of the pairs.
        request: what is asked for.
        builder: of this process; other processes open their own.
        reopen: gives them what opens the models; picklable.
    """

    name: ClassVar[str] = "pairs"
    resources = Resources(gpus=1.0)

    folder: Path
    request: PairsRequest
    builder: Builder | None = None
    reopen: Callable[[], Opens] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what no other process can have."""
        return vars(self) | {"builder": None}

    @property
    def count(self) -> int:
        """Of batches."""
        return self.request.batches

    def inputs(self) -> Sequence[Path]:
        """The data set."""
        return () if self.builder is None else self.builder.portraits.paths

    def outputs(self, task: int) -> Sequence[Path]:
        """The pairs of a batch, and the record of its attempts, which is written last."""
        return pairs_file(self.folder, task), rows_file(self.folder, task)

    def size(self, task: int) -> int:
        """Targets of a batch."""
        return len(self.request.rows(task))

    def setup(self) -> Process:
        """Load what draws."""
        builder = self.builder
        if builder is None:
            assert self.reopen is not None
            builder = replace(self.reopen().open(), request=self.request)
        return lambda task, trial: builder._batch(self.folder, task, trial)

    def finish(self) -> None:
        """Shards, manifest and report from the batches, some of which may have been made for other thresholds."""
        batches, limits = range(self.request.batches), self.request.thresholds
        rows = [judged_again(row, limits) for number in batches for row in read_json(rows_file(self.folder, number))]
        pairs = (entry for number in batches for entry in read_shard(pairs_file(self.folder, number)))
        shown = write_shards(self.folder, pairs, self.request.per_shard)
        write_report(self.folder, self.request, rows, shown)
        write_manifest(self.folder / MANIFEST, rows, self.request.models)


def write_shards(folder: Path, pairs: Iterator[Entry], per_shard: int, shown: int = 24) -> list[Entry]:
    """Write shards of ``per_shard`` pairs; returns the first ``shown`` pairs."""
    first: list[Entry] = []
    number, entry = 0, next(pairs, None)
    while entry is not None:
        with ShardWriter(folder / shard_name(number)) as writer:
            while entry is not None and writer.count < per_shard:
                if len(first) < shown:
                    first.append(entry)
                writer.write(entry)
                entry = next(pairs, None)
        number += 1
    return first
