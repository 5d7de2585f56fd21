"""Drawing a file of requests: streaming, resumable, in folders of many pictures with a manifest each.

A folder ``part-00000`` holds the pictures of some requests that follow each other, and ``part-00000.jsonl`` a row for
each request, written once all are done. Which requests are in which folder follows from the file alone, so any number
of processes and machines makes the same.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from mien.core import log
from mien.core.io import claim, sha256_of, write_text
from mien.core.progress import Bar, silent
from mien.core.stages.execute import execute
from mien.core.stages.stage import Process, Resources, Stage
from mien.core.stages.trial import Trial
from mien.errors import BadInput, MienError
from mien.generation.generate import DrawnPicture, draw_pictures
from mien.generation.request import GenerateRequest, check_folder
from mien.generation.requests_file import Line, read_lines
from mien.generation.tools import FaceTools
from mien.pipelines.load import load_pipeline
from mien.provenance.png import write_picture

if TYPE_CHECKING:
    from mien.faces.observed import DetectedFace
    from mien.faces.types import Face, Picture, Reading
    from mien.generation.tools import Embedding

PER_PART = 100
"""Requests of a folder."""
SETTINGS_FILE = "requests.json"
MANIFEST = "manifest.jsonl"
_REMEMBERED = 512
"""Input pictures whose faces are kept: many requests share them."""

Draw = Callable[[GenerateRequest, Sequence[int]], Iterator[DrawnPicture]]
"""(request, which of its pictures) -> the pictures, see `mien.generation.generate.draw_pictures`."""


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
        draw: of this process; other processes load their own.
    """

    name: ClassVar[str] = "requests"
    resources = Resources(gpus=1.0)

    folder: Path
    source: Path
    defaults: Mapping[str, Any]
    requests: int
    per_part: int
    draw: Draw | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what no other process can have."""
        return vars(self) | {"draw": None}

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
        worker = _Worker(self, self.draw or _loaded(self.blank()))
        return worker.part

    def finish(self) -> None:
        """Write the manifest of the whole file."""
        files = [self.outputs(task)[0] for task in range(self.count)]
        write_text(self.folder / MANIFEST, "".join(file.read_text(encoding="utf-8") for file in files))

    def blank(self) -> GenerateRequest:
        """The settings that all requests share."""
        return GenerateRequest.checked(
            **{**self.defaults, "prompt": "a person", "describe": None, "output": self.folder}
        )


class _Worker:
    """One process, which is given folders in any order, mostly one after another."""

    def __init__(self, stage: RequestsStage, draw: Draw) -> None:
        self._stage, self._draw = stage, draw
        self._lines, self._next = read_lines(stage.source), 0

    def part(self, task: int, trial: Trial) -> None:
        """Draw the requests of a folder, those whose pictures are not there."""
        rows, seen = [], set[str]()
        for line in self._lines_of(task):
            row: dict[str, Any] = {"line": line.number, "id": line.name, "files": [], "error": line.error}
            if line.name in seen:
                row["error"] = f"the id {line.name} stands twice in this part of the file"
            seen.add(line.name)
            rows.append(row if row["error"] else row | self._drawn(task, line, trial))
            trial.advance(1)
        log.write_lines(self._stage.outputs(task)[0], rows)

    def _lines_of(self, task: int) -> list[Line]:
        first = task * self._stage.per_part
        if first < self._next:
            self._lines, self._next = read_lines(self._stage.source), 0
        found = list(islice(self._lines, first - self._next, first - self._next + self._stage.per_part))
        self._next = first + len(found)
        return found

    def _drawn(self, task: int, line: Line, trial: Trial) -> dict[str, Any]:
        """The files of a request, or the sentence that says why there are none."""
        place = self._stage.folder / f"part-{task:05d}"
        try:
            request = GenerateRequest.checked(**{**self._stage.defaults, **line.values, "output": place})
        except MienError as error:
            return {"error": str(error)}
        alone = request.count == 1
        stems = [line.name if alone else f"{line.name}-{request.seed + i}" for i in range(request.count)]
        names = [stem + request.ending for stem in stems]
        missing = [index for index, name in enumerate(names) if not (place / name).exists()]
        pictures = self._draw(request, missing)
        for index in missing:
            key = f"{line.number}-{index}"
            with trial.sample(key) as wanted:
                if not wanted:
                    return {"error": trial.reasons[key]}
                try:
                    picture = next(pictures)
                except MienError as error:
                    return {"error": str(error)}
            write_picture(place / names[index], picture.image, picture.record)  # a full disk is no fault of the request
        return {"files": [f"{place.name}/{name}" for name in names]}


def _loaded(shared: GenerateRequest) -> Draw:
    """What draws with a base and its readers."""
    tools = _Remembered(FaceTools.load(shared.base, shared.reader)).tools
    pipeline = load_pipeline(shared.base, shared.loading)
    return lambda request, indices: draw_pictures(request, indices, pipeline=pipeline, tools=tools)


def generate_many(
    source: Path,
    folder: Path,
    defaults: Mapping[str, Any],
    *,
    executor: str = "local",
    workers: int = 1,
    part: tuple[int, int] | None = None,
    finish: bool = False,
    per_part: int = PER_PART,
    draw: Draw | None = None,
    bar: Bar = silent,
) -> Counts:
    """Draw all requests of a file, or one machine's share; the same call goes on where it was stopped.

    A request that cannot be drawn has a sentence in the manifest, and the others go on.

    Args:
        source: see `mien.generation.requests_file`.
        folder: for ``part-*/``, their manifests, and ``manifest.jsonl`` once all are there.
        defaults: fields of `GenerateRequest` where a line does not say; those of the whole run.
        executor: see `mien.core.stages.execute.execute`, as are the next three.
        workers: processes; each loads what draws.
        part: (number from 1, how many machines there are).
        finish: draw nothing; put together what the parts have drawn.
        per_part: requests of a folder.
        draw: draws in this process; what the base needs is loaded if None.
        bar: makes progress bars.

    Raises:
        ConfigError: if the folder holds pictures of other requests.
        MienError: if the file cannot be read, the base is missing, or pictures cannot be written.
    """
    check_folder(folder)
    count = sum(1 for _ in read_lines(source))
    if not count:
        raise BadInput(f"There are no requests in {source}.")
    stage = RequestsStage(folder, source, dict(defaults), count, per_part, draw)
    blank = stage.blank()
    asked = {
        "file": sha256_of(source), "per_part": per_part, "settings": blank.settings(), "format": blank.format
    }  # fmt: skip
    asked = json.loads(json.dumps(asked))
    claim(folder / SETTINGS_FILE, asked, "pictures of other requests", defaults={"format": None})
    whole = execute(stage, executor=executor, workers=workers, part=part, finish_only=finish, bar=bar)
    done = [stage.outputs(task)[0] for task in range(stage.count) if stage.is_done(task)]
    rows = [row for file in done for row in log.read_lines(file)]
    return Counts(count, sum(len(row["files"]) for row in rows), sum(bool(row["error"]) for row in rows), whole)


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
