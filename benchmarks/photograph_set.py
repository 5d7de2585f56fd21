"""Photographs for development: where they are on the web, their sha256, and what a person sees in each.

``photographs.json`` beside this file lists sample pictures of public repositories; no picture is committed. They belong
to those who published them, and serve here to measure reading and drawing, nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from mien.core.io import atomic_path, cache_folder, read_json, sha256_of
from mien.core.progress import Bar, silent
from mien.errors import BadInput

LIST = Path(__file__).with_suffix(".json").with_name("photographs.json")
FOLDER = cache_folder().parent / "mien-photos"
"""Where the pictures are kept."""
RAW = "https://raw.githubusercontent.com"
TIMEOUT = 30.0

Group = Literal["development", "held-out", "animals"]


@dataclass(frozen=True)
class Photograph:
    """A picture of one person.

    Attributes:
        name: the sheet's name for it.
        group: ``development``, or ``held-out``: not looked at while anything was set.
        repository: ``owner/name`` on GitHub.
        commit: of that repository.
        path: in it.
        sha256: of the file.
        face: (x, y, side) of the face as shares of width, height and width: the middle between brows and chin, and
            about how wide it is. A person checked each.
        seen: what a person sees, as far as it was written down: ``hair`` (length and colour, ``bald``), ``glasses``,
            ``beard`` (none, stubble, moustache, goatee, beard), ``headwear``, ``emotion`` (a class), ``expression``
            (words).
    """

    name: str
    group: Group
    repository: str
    commit: str
    path: str
    sha256: str
    face: tuple[float, float, float]
    seen: dict[str, Any]

    def file(self, folder: Path) -> Path:
        """Where it lies."""
        return folder / f"{self.name}{Path(self.path).suffix.lower()}"


@dataclass(frozen=True)
class Faceless:
    """Pictures of one folder of a repository in which a person found no face of a human.

    Attributes:
        group: ``development``, ``held-out``, or ``animals``, whose faces can be seen.
        repository: ``owner/name`` on GitHub.
        commit: of that repository.
        folder: in it.
        sha256: of the sha256 digests of all files, one after the other.
        files: their names.
    """

    group: Group
    repository: str
    commit: str
    folder: str
    sha256: str
    files: tuple[str, ...]

    def paths(self, folder: Path) -> list[Path]:
        """Where they lie."""
        return [folder / "faceless" / name for name in self.files]


def photographs(group: str | None = None) -> list[Photograph]:
    """The pictures of people; those of one group, or all."""
    rows = [Photograph(**{**row, "face": tuple(row["face"])}) for row in read_json(LIST)["photographs"]]
    return [one for one in rows if group in (None, one.group)]


def faceless(group: str | None = None) -> list[Faceless]:
    """The pictures without people; those of one group, or all."""
    rows = [Faceless(**{**row, "files": tuple(row["files"])}) for row in read_json(LIST)["faceless"]]
    return [one for one in rows if group in (None, one.group)]


def _wanted(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each file with its address."""
    for one in photographs():
        yield one.file(folder), f"{RAW}/{one.repository}/{one.commit}/{quote(one.path)}"
    for many in faceless():
        place = f"{RAW}/{many.repository}/{many.commit}/{quote(many.folder)}".rstrip("/")
        for path in many.paths(folder):
            yield path, f"{place}/{quote(path.name)}"


def fetch(folder: Path, show: Bar = silent) -> None:
    """Bring what is not there; the same call goes on where it stopped. Then `check`.

    Raises:
        BadInput: if a picture cannot be had or is another one.
    """
    missing = [(path, url) for path, url in _wanted(folder) if not path.is_file()]
    with show(len(missing), "fetching") as advance:
        for path, url in missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with urlopen(url, timeout=TIMEOUT) as answer:
                    content = answer.read()
            except (URLError, OSError) as error:
                raise BadInput(
                    f"{url} cannot be had ({error}): try again, or give a folder that holds the pictures already."
                ) from error
            with atomic_path(path) as temporary, temporary.open("wb") as stream:
                stream.write(content)
            advance(1)
    check(folder)


def check(folder: Path) -> None:
    """Refuse a folder that does not hold exactly these pictures.

    Raises:
        BadInput: naming the first that is not there or differs.
    """
    for path, _ in _wanted(folder):
        if not path.is_file():
            raise BadInput(f"{path} is not there: run  python benchmarks/photographs.py get -o {folder}.")
    for one in photographs():
        if sha256_of(one.file(folder)) != one.sha256:
            raise BadInput(f"{one.file(folder)} is not the listed picture: remove it and fetch it again.")
    for many in faceless():
        together = hashlib.sha256(b"".join(bytes.fromhex(sha256_of(path)) for path in many.paths(folder)))
        if together.hexdigest() != many.sha256:
            raise BadInput(f"A picture of {many.repository} in {folder} is not the listed one: fetch them again.")
