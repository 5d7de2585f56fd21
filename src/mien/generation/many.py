"""Drawing a file of requests: streaming, resumable, in folders of many pictures with a manifest each.

A folder ``part-00000`` holds the pictures of some requests that follow each other, and ``part-00000.jsonl`` a row for
each request, written once all are done. Which requests are in which folder follows from the file alone, so any number
of machines makes the same.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.core.io import claim, sha256_of, write_text
from mien.core.progress import Advance, Bar, silent
from mien.errors import BadInput, MienError
from mien.generation.generate import draw_pictures
from mien.generation.request import GenerateRequest, check_folder
from mien.generation.requests_file import Line, read_lines
from mien.generation.tools import FaceTools
from mien.pipelines.load import load_pipeline
from mien.provenance.png import write_picture

if TYPE_CHECKING:
    from mien.faces.observed import DetectedFace
    from mien.pipelines.portrait import PortraitPipeline

PER_PART = 1000
"""Requests of a folder."""
SETTINGS_FILE = "requests.json"
MANIFEST = "manifest.jsonl"
TRIES = 3
"""How often a request is tried that ends in an error which is not about its input."""
_REMEMBERED = 512
"""Input pictures whose faces are kept: many requests share them."""


class Counts(NamedTuple):
    """What a run did.

    Attributes:
        requests: of the whole file.
        drawn: pictures that this run drew.
        failed: requests without a picture, in the parts that this run did.
        whole: whether the manifest of the whole file is there.
    """

    requests: int
    drawn: int
    failed: int
    whole: bool


@dataclass(eq=False)
class _Run:
    """One run over a file."""

    folder: Path
    defaults: Mapping[str, Any]
    pipeline: PortraitPipeline
    tools: FaceTools
    advance: Advance
    drawn: int = 0
    failed: int = 0

    def part(self, number: int, lines: list[Line]) -> None:
        """Draw the requests of a folder, those whose pictures are not there."""
        rows, seen = [], set[str]()
        for line in lines:
            row = self._row(number, line, taken=line.name in seen)
            seen.add(line.name)
            self.failed += bool(row["error"])
            rows.append(row)
            self.advance(1)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(manifest_of(self.folder, number), text)

    def _row(self, number: int, line: Line, *, taken: bool) -> dict[str, Any]:
        row: dict[str, Any] = {"line": line.number, "id": line.name, "files": [], "error": line.error}
        if taken:
            row["error"] = f"the id {line.name} stands twice in this part of the file"
        for last in (number == TRIES for number in range(1, TRIES + 1)) if not row["error"] else ():
            try:
                return row | {"files": self._draw(number, line)}
            except MienError as error:
                return row | {"error": str(error)}
            except (ValueError, RuntimeError, ArithmeticError, LookupError, OSError) as error:
                if last:
                    return row | {"error": f"{type(error).__name__}: {error}"}
        return row

    def _draw(self, number: int, line: Line) -> list[str]:
        place = self.folder / f"part-{number:05d}"
        request = GenerateRequest.checked(**{**self.defaults, **line.values, "output": place})
        alone = request.count == 1
        stems = [line.name if alone else f"{line.name}-{request.seed + i}" for i in range(request.count)]
        names = [stem + request.ending for stem in stems]
        missing = [index for index, name in enumerate(names) if not (place / name).exists()]
        for index, picture in zip(missing, self._pictures(request, missing), strict=True):
            write_picture(place / names[index], picture.image, picture.record)
            self.drawn += 1
        return [f"{place.name}/{name}" for name in names]

    def _pictures(self, request: GenerateRequest, indices: list[int]) -> Iterator[Any]:
        if indices:
            yield from draw_pictures(request, indices, pipeline=self.pipeline, tools=self.tools)


def generate_many(
    source: Path,
    folder: Path,
    defaults: Mapping[str, Any],
    *,
    part: tuple[int, int] = (1, 1),
    per_part: int = PER_PART,
    pipeline: PortraitPipeline | None = None,
    tools: FaceTools | None = None,
    bar: Bar = silent,
) -> Counts:
    """Draw all requests of a file, or one machine's share; the same call goes on where it was stopped.

    A request that cannot be drawn has a sentence in the manifest, and the others go on.

    Args:
        source: see `mien.generation.requests_file`.
        folder: for ``part-*/``, their manifests, and ``manifest.jsonl`` once all are there.
        defaults: fields of `GenerateRequest` where a line does not say; those of the whole run.
        part: (number from 1, how many machines there are).
        per_part: requests of a folder.
        pipeline: a loaded pipeline; that of the base is loaded if None.
        tools: readers; those of the base are loaded if None.
        bar: makes progress bars.

    Raises:
        ConfigError: if the folder holds pictures of other requests.
        MienError: if the file cannot be read, or the base is missing.
    """
    check_folder(folder)
    count = sum(1 for _ in read_lines(source))
    if not count:
        raise BadInput(f"There are no requests in {source}.")
    blank = GenerateRequest.checked(**{**defaults, "prompt": "a person", "describe": None, "output": folder})
    form = {} if blank.format is None else {"format": blank.format}
    asked = {"file": sha256_of(source), "per_part": per_part, "settings": blank.settings(), **form}
    claim(folder / SETTINGS_FILE, json.loads(json.dumps(asked)), "pictures of other requests")
    parts = -(-count // per_part)
    todo = [n for n in range(part[0] - 1, parts, part[1]) if not manifest_of(folder, n).exists()]
    counts = Counts(count, 0, 0, whole=False)
    if todo:
        read = _Remembered(tools or FaceTools.load(blank.base, blank.reader)).tools
        drawn_by: Any = load_pipeline(blank.base, blank.loading) if pipeline is None else pipeline
        with bar(sum(min(per_part, count - n * per_part) for n in todo), "requests") as advance:
            run = _Run(folder, defaults, drawn_by, read, advance)
            lines = read_lines(source)
            for number in range(parts):
                some = list(islice(lines, per_part))
                if number in todo:
                    run.part(number, some)
        counts = Counts(count, run.drawn, run.failed, whole=False)
    return counts._replace(whole=_join_manifests(folder, parts))


def manifest_of(folder: Path, number: int) -> Path:
    """The rows of a part."""
    return folder / f"part-{number:05d}.jsonl"


def _join_manifests(folder: Path, parts: int) -> bool:
    """Write the manifest of the whole file once those of all parts are there; whether they are."""
    files = [manifest_of(folder, number) for number in range(parts)]
    if not all(file.exists() for file in files):
        return False
    write_text(folder / MANIFEST, "".join(file.read_text(encoding="utf-8") for file in files))
    return True


class _Remembered:
    """Readers that do not read the same file twice in a row of requests."""

    def __init__(self, tools: FaceTools) -> None:
        self._tools = tools
        self._readings: OrderedDict[str, Any] = OrderedDict()
        self._embedded: OrderedDict[int, Any] = OrderedDict()
        self.tools = replace(tools, read=self._read, embed=self._embed)

    def _read(self, image: Any, source: str) -> Any:
        if source not in self._readings:
            self._readings[source] = self._tools.read(image, source)
            if len(self._readings) > _REMEMBERED:
                self._readings.popitem(last=False)
        return self._readings[source]

    def _embed(self, seen: DetectedFace) -> Any:
        # the face is kept beside its embedding: its id is not given to another one meanwhile
        key = id(seen.face)
        if key not in self._embedded:
            self._embedded[key] = seen.face, self._tools.embed(seen)
            if len(self._embedded) > _REMEMBERED:
                self._embedded.popitem(last=False)
        return self._embedded[key][1]
