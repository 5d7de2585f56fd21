"""A file of requests, one a line: JSON objects, or a table with a header. Read line by line, however long it is."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.conditions import EMOTIONS, Emotion
from mien.errors import BadInput, MienError
from mien.generation.request import ROLES, SEVERAL, GenerateRequest

_WHOLE_RUN = ("base", "format", "loading", "output", "provenance", "reader")
"""Fields that all requests of a file share: they are options of the command."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Line:
    """A request as it stands in a file.

    Attributes:
        number: of the line, from 0, the header not counted.
        name: its ``id``, else its number.
        values: fields of `GenerateRequest`, none where ``error`` says why.
        error: a sentence.
    """

    number: int
    name: str
    values: Mapping[str, Any]
    error: str = ""


def read_lines(path: Path) -> Iterator[Line]:
    """The requests of a file; empty lines are passed over, and names of pictures start from the file's folder.

    Raises:
        BadInput: if there is no such file, it is neither ``.jsonl`` nor ``.csv``, or is no text.
    """
    if not path.is_file():
        raise BadInput(f"There is no file of requests at {path}; check the path.")
    if path.suffix.lower() not in (".jsonl", ".csv"):
        raise BadInput(f"{path} must end in .jsonl (a JSON object a line) or .csv (a table with a header).")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = (
                csv.DictReader(stream) if path.suffix.lower() == ".csv" else (line for line in stream if line.strip())
            )
            for number, row in enumerate(rows):
                yield _line(path, number, row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read as text in UTF-8 ({error}): write it again.") from error


def _line(path: Path, number: int, row: str | Mapping[str, Any]) -> Line:
    name = f"{number:07d}"
    try:
        values = _of_table(row) if isinstance(row, Mapping) else _of_json(row)
        name = str(values.pop("id", name))
        if not _NAME.fullmatch(name):
            raise BadInput(f"the id {name!r} must be made of letters, digits, dots, hyphens and underscores")
        return Line(number, name, _placed(values, path.parent))
    except MienError as error:
        safe = name if _NAME.fullmatch(name) else f"{number:07d}"
        return Line(number, safe, {}, str(error))


def _of_json(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"this is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise BadInput("a request is a JSON object")
    if "emotion" in values:
        values["emotion"] = _emotion(values["emotion"])
    return _checked(values)


def _of_table(row: Mapping[Any, Any]) -> dict[str, Any]:
    if row.get(None):
        raise BadInput("there are more cells than columns")
    values: dict[str, Any] = {name: cell for name, cell in row.items() if name and cell not in (None, "")}
    numbers = [name for name in ("valence", "arousal", *EMOTIONS) if name in values]
    if numbers:
        if len(numbers) != len(EMOTIONS) + 2:
            raise BadInput(f"an emotion in numbers has the columns valence, arousal, {', '.join(EMOTIONS)}")
        values["emotion"] = Emotion.of_vector([values.pop(name) for name in numbers])
    return _checked(values)


def _emotion(value: object) -> object:
    """A word, ten numbers, or an object with ``valence``, ``arousal`` and ``probabilities``."""
    if isinstance(value, Mapping):
        if set(value) != {"valence", "arousal", "probabilities"} or not isinstance(value["probabilities"], Sequence):
            raise BadInput("an emotion is an object with valence, arousal and probabilities")
        value = [value["valence"], value["arousal"], *value["probabilities"]]
    return Emotion.of_vector(value) if isinstance(value, list) else value


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    for name in values:
        if name in _WHOLE_RUN:
            raise BadInput(f"{name} is one for the whole run: give it as an option of the command")
        if name != "id" and name not in GenerateRequest.model_fields:
            raise BadInput(f"there is no field {name!r} of a request")
    return values


def _placed(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """With names of pictures as paths."""
    found = dict(values)
    for name in found.keys() & set(ROLES):
        found[name] = folder / str(found[name])
    for name in found.keys() & SEVERAL.keys():
        further = found[name]
        if not isinstance(further, str | list):
            raise BadInput(f"{name} is a list of pictures, not {further!r}")
        found[name] = tuple(folder / str(one) for one in (further.split("|") if isinstance(further, str) else further))
    return found
