"""Drawing a file of requests: streaming, resumable, in folders of many pictures with a manifest each.

A folder ``part-00000`` holds the pictures of some requests that follow each other, and ``part-00000.jsonl`` a row for
each request, written once all are done. Which requests are in which folder, and which pictures are drawn in one batch,
follows from the file and the size of batches alone, so any number of processes and machines makes the same.
"""

from __future__ import annotations

import json
import shutil
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from mien.core import log
from mien.core.io import atomic_path, claim, read_json, sha256_of
from mien.core.processes import available_gpus
from mien.core.progress import Bar, silent
from mien.core.stages.execute import execute
from mien.core.stages.stage import Process, Resources, Stage
from mien.core.stages.trial import Trial
from mien.errors import BadInput, MienError
from mien.generation.batches import batch_key, conditions_of
from mien.generation.conditioning import open_inputs
from mien.generation.generate import DrawnPicture, Prepared, draw_together, prepare
from mien.generation.request import GenerateRequest, check_folder
from mien.generation.requests_file import Line, read_lines
from mien.generation.tools import FaceTools
from mien.pipelines.load import load_pipeline
from mien.provenance.png import write_picture

if TYPE_CHECKING:
    from mien.faces.observed import DetectedFace
    from mien.faces.types import Face, Picture, Reading
    from mien.generation.tools import Embedding
    from mien.pipelines.load_options import Loading
    from mien.pipelines.portrait import PortraitPipeline

PER_PART = 100
"""Requests of a folder."""
GPU_BATCH = 8
"""Pictures that are drawn at once where a GPU draws and nobody says how many."""
SETTINGS_FILE = "requests.json"
MANIFEST = "manifest.jsonl"
_REMEMBERED = 512
"""Input pictures whose faces are kept: many requests share them."""


class Drawer(NamedTuple):
    """What draws requests: a base with its readers.

    Attributes:
        pipeline: the base.
        tools: its readers.
    """

    pipeline: PortraitPipeline
    tools: FaceTools

    @classmethod
    def load(cls, shared: GenerateRequest) -> Drawer:
        """The base that a request names, with readers that remember what they read last."""
        tools = _Remembered(FaceTools.load(shared.base, shared.reader)).tools
        return cls(load_pipeline(shared.base, shared.loading), tools)

    def prepare(self, request: GenerateRequest) -> Prepared:
        """Read a request's pictures; raises as `mien.generation.generate.prepare` does."""
        return prepare(request, open_inputs(request), self.pipeline, self.tools)

    def draw(self, rows: Sequence[tuple[Prepared, int]]) -> list[DrawnPicture]:
        """The pictures of a batch, see `draw_together`."""
        return draw_together(self.pipeline, rows)


class Counts(NamedTuple):
    """What is there after a run.

    Attributes:
        requests: of the whole file.
        pictures: of the parts that are done.
        failed: requests without all of their pictures, in the parts that are done.
        whole: whether the manifest of the whole file is there.
    """

    requests: int
    pictures: int
    failed: int
    whole: bool


@dataclass
class RequestsStage(Stage):
    """The folders of a file of requests.

    Attributes:
        folder: for ``part-*/`` and their manifests.
        source: the file.
        defaults: fields of `GenerateRequest` where a line does not say.
        requests: lines of the file.
        per_part: of them in a folder.
        batch: pictures that are drawn at once.
        drawer: of this process; other processes load their own.
    """

    name: ClassVar[str] = "requests"
    resources = Resources(gpus=1.0)

    folder: Path
    source: Path
    defaults: Mapping[str, Any]
    requests: int
    per_part: int
    batch: int = 1
    drawer: Drawer | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what no other process can have."""
        return vars(self) | {"drawer": None}

    @property
    def count(self) -> int:
        """Of folders."""
        return -(-self.requests // self.per_part)

    def inputs(self) -> Sequence[Path]:
        """The file."""
        return (self.source,)

    def outputs(self, task: int) -> Sequence[Path]:
        """The manifest of a folder, which is written last."""
        return (self.folder / f"part-{task:05d}.jsonl",)

    def size(self, task: int) -> int:
        """Requests of a folder."""
        return min(self.per_part, self.requests - task * self.per_part)

    def setup(self) -> Process:
        """Load what reads and draws."""
        return _Worker(self, self.drawer or Drawer.load(self.blank())).part

    def finish(self) -> None:
        """Write the manifest of the whole file."""
        with atomic_path(self.folder / MANIFEST) as temporary, temporary.open("wb") as whole:
            for task in range(self.count):
                with self.outputs(task)[0].open("rb") as part:
                    shutil.copyfileobj(part, whole)

    def blank(self) -> GenerateRequest:
        """The settings that all requests share."""
        return GenerateRequest.checked(
            **{**self.defaults, "prompt": "a person", "describe": None, "output": self.folder}
        )


@dataclass(eq=False)
class _Asked:
    """A request of a folder.

    Attributes:
        row: of the manifest.
        line: of the file.
        request: None where the row says why.
        files: of its pictures.
        prepared: what was read for it, once it was.
    """

    row: dict[str, Any]
    line: Line
    request: GenerateRequest | None = None
    files: list[Path] = field(default_factory=list)
    prepared: Prepared | None = None

    def fail(self, reason: str) -> None:
        """Say why it has no pictures."""
        self.row.update(files=[], error=reason)


Row = tuple[_Asked, int]
"""A picture: its request, and its number there."""


class _Worker:
    """One process, which is given folders in any order, mostly one after another."""

    def __init__(self, stage: RequestsStage, drawer: Drawer) -> None:
        self._stage, self._drawer = stage, drawer
        self._lines, self._next = read_lines(stage.source), 0
        self._held: tuple[int, list[Line]] = (-1, [])

    def part(self, task: int, trial: Trial) -> None:
        """Draw the requests of a folder, those whose pictures are not there."""
        asked, seen = [], set[str]()
        for line in self._lines_of(task):
            asked.append(one := self._asked(task, line))
            if line.name in seen and not line.error:
                one.request = None
                one.fail(f"the id {line.name} stands twice in this part of the file")
            seen.add(line.name)
        for rows in batches(asked, self._stage.batch):
            self._draw(rows, trial)
        for one in asked:
            one.prepared = None
        log.write_lines(self._stage.outputs(task)[0], [one.row for one in asked])

    def _lines_of(self, task: int) -> list[Line]:
        if task != self._held[0]:  # else a sample has failed, and the folder is tried again
            first = task * self._stage.per_part
            if first < self._next:
                self._lines, self._next = read_lines(self._stage.source), 0
            found = list(islice(self._lines, first - self._next, first - self._next + self._stage.per_part))
            self._next = first + len(found)
            self._held = task, found
        return self._held[1]

    def _asked(self, task: int, line: Line) -> _Asked:
        """A line as a request, or the sentence that says why it is none."""
        place = self._stage.folder / f"part-{task:05d}"
        one = _Asked({"line": line.number, "id": line.name, "files": [], "error": line.error}, line)
        if line.error:
            return one
        try:
            request = GenerateRequest.checked(**{**self._stage.defaults, **line.values, "output": place})
        except MienError as error:
            one.fail(str(error))
            return one
        alone = request.count == 1
        stems = [line.name if alone else f"{line.name}-{request.seed + i}" for i in range(request.count)]
        one.request, one.files = request, [place / (stem + request.ending) for stem in stems]
        one.row["files"] = [f"{place.name}/{file.name}" for file in one.files]
        return one

    def _draw(self, rows: Sequence[Row], trial: Trial) -> None:
        """Draw a batch of which a picture is missing; what is there is left as it is."""
        if all(one.files[index].exists() for one, index in rows):
            self._tell(rows, trial)
            return
        for one in dict.fromkeys(one for one, _ in rows):
            self._prepare(one, trial)
        alike: dict[tuple[bool, ...], list[Row]] = defaultdict(list)
        for one, index in rows:
            if one.prepared is not None:
                alike[conditions_of(one.prepared.inputs)].append((one, index))
        for some in alike.values():
            self._draw_alike(some, trial)
        self._tell(rows, trial)

    def _prepare(self, one: _Asked, trial: Trial) -> None:
        if one.prepared is not None or one.row["error"] or one.request is None:
            return
        key = f"{one.line.number}"
        with trial.sample(key) as wanted:
            if not wanted:
                one.fail(trial.reasons[key])
                return
            try:
                one.prepared = self._drawer.prepare(one.request)
            except MienError as error:
                one.fail(str(error))

    def _draw_alike(self, rows: Sequence[Row], trial: Trial) -> None:
        """Draw pictures in one batch; one by one where the batch has failed too often."""
        missing = [not one.files[index].exists() for one, index in rows]
        if not any(missing):
            return
        key, error = "+".join(f"{one.line.number}-{index}" for one, index in rows), ""
        drawn: list[DrawnPicture] = []
        with trial.sample(key) as wanted:
            if wanted:
                try:
                    drawn = self._drawer.draw([(one.prepared, index) for one, index in rows if one.prepared])
                except MienError as raised:
                    error = str(raised)
            else:
                error = trial.reasons[key]
        if error and len(rows) == 1:
            rows[0][0].fail(error)
        elif error:
            for row in rows:  # whose fault it is shows one by one
                self._draw_alike([row], trial)
        if error:
            return
        for (one, index), picture, new in zip(rows, drawn, missing, strict=True):
            if new:
                write_picture(one.files[index], picture.image, picture.record)  # a full disk is nobody's fault

    def _tell(self, rows: Sequence[Row], trial: Trial) -> None:
        """Count the requests that end in a batch, and let go of what was read for them."""
        for one, index in rows:
            if index == len(one.files) - 1:
                one.prepared = None
                trial.advance(1)


def batches(asked: Sequence[_Asked], size: int) -> Iterator[list[Row]]:
    """The pictures of some requests, those together that can be drawn at once; a matter of the requests alone.

    Args:
        asked: requests; those without one are passed over.
        size: most pictures of a batch.
    """
    waiting: dict[Hashable, list[Row]] = defaultdict(list)
    for one in asked:
        if one.request is None:
            continue
        key = batch_key(one.request)
        for index in range(len(one.files)):
            if key is None:
                yield [(one, index)]
                continue
            waiting[key].append((one, index))
            if len(waiting[key]) == size:
                yield waiting.pop(key)
    yield from waiting.values()


def usual_batch(loading: Loading) -> int:
    """Pictures that are drawn at once where nobody says how many: one on a processor, which several do not speed up."""
    return GPU_BATCH if loading.device in ("auto", "cuda") and available_gpus() else 1


def generate_many(
    source: Path,
    folder: Path,
    defaults: Mapping[str, Any],
    *,
    executor: str = "local",
    workers: int | None = None,
    part: tuple[int, int] | None = None,
    finish: bool = False,
    per_part: int = PER_PART,
    batch: int | None = None,
    drawer: Drawer | None = None,
    bar: Bar = silent,
) -> Counts:
    """Draw all requests of a file, or one machine's share; the same call goes on where it was stopped.

    A request that cannot be drawn has a sentence in the manifest, and the others go on.

    Args:
        source: see `mien.generation.requests_file`.
        folder: for ``part-*/``, their manifests, and ``manifest.jsonl`` once all are there.
        defaults: fields of `GenerateRequest` where a line does not say; those of the whole run.
        executor: see `mien.core.stages.execute.execute`, as are the next three.
        workers: processes, each of which loads what draws; None: one a GPU, or one.
        part: (number from 1, how many machines there are).
        finish: draw nothing; put together what the parts have drawn.
        per_part: requests of a folder.
        batch: pictures drawn at once; None: what the folder was begun with, else :func:`usual_batch`. Bits of a picture
            may depend on it, and on which requests stand beside it.
        drawer: draws in this process; what the base needs is loaded if None.
        bar: makes progress bars.

    Raises:
        ConfigError: if the folder holds pictures of other requests.
        MienError: if the file cannot be read, the base is missing, or pictures cannot be written.
    """
    check_folder(folder)
    count = sum(1 for _ in read_lines(source))
    if not count:
        raise BadInput(f"There are no requests in {source}.")
    blank = RequestsStage(folder, source, dict(defaults), count, per_part).blank()
    batch = batch or _begun_with(folder) or usual_batch(blank.loading)
    stage = RequestsStage(folder, source, dict(defaults), count, per_part, batch, drawer)
    asked = {
        "file": sha256_of(source), "per_part": per_part, "settings": blank.settings(), "format": blank.format,
        "batch": batch,
    }  # fmt: skip
    asked = json.loads(json.dumps(asked))
    claim(folder / SETTINGS_FILE, asked, "pictures of other requests", defaults={"format": None, "batch": 1})
    whole = execute(stage, executor=executor, workers=workers, part=part, finish_only=finish, bar=bar)
    pictures = failed = 0
    for task in range(stage.count):
        for row in log.read_lines(stage.outputs(task)[0]) if stage.is_done(task) else ():
            pictures, failed = pictures + len(row["files"]), failed + bool(row["error"])
    return Counts(count, pictures, failed, whole)


def _begun_with(folder: Path) -> int | None:
    """Size of the batches that a folder was begun with; None for a new one, and one that `claim` speaks about."""
    if not (folder / SETTINGS_FILE).exists():
        return None
    stored = read_json(folder / SETTINGS_FILE)
    found = stored.get("batch", 1) if isinstance(stored, dict) else None
    return found if isinstance(found, int) and found > 0 else None


class _Remembered:
    """Readers that do not read the same file twice in a row of requests."""

    def __init__(self, tools: FaceTools) -> None:
        self._tools = tools
        self._readings: OrderedDict[str, Reading] = OrderedDict()
        self._embedded: OrderedDict[int, tuple[Face, Embedding]] = OrderedDict()
        self.tools = replace(tools, read=self._read, embed=self._embed)

    def _read(self, image: Picture, source: str) -> Reading:
        if source not in self._readings:
            self._readings[source] = self._tools.read(image, source)
            if len(self._readings) > _REMEMBERED:
                self._readings.popitem(last=False)
        return self._readings[source]

    def _embed(self, seen: DetectedFace) -> Embedding:
        # the face is kept beside its embedding: its id is not given to another one meanwhile
        key = id(seen.face)
        if key not in self._embedded:
            self._embedded[key] = seen.face, self._tools.embed(seen)
            if len(self._embedded) > _REMEMBERED:
                self._embedded.popitem(last=False)
        return self._embedded[key][1]
