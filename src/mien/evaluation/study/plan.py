"""What is asked: questions, sets of pictures, and which of them a participant sees.

A study is a folder: ``study.json``, ``pictures/`` and ``votes.jsonl``. Its pictures are copies, so that the folder can
be moved, and bare PNG files: a record would tell participants which method made them.
"""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, model_validator

from mien.core.io import make_folder, read_json, write_json
from mien.core.log import only_process
from mien.core.strict import StrictModel
from mien.errors import BadInput

FILE, LOCK = "study.json", "study.lock"
SETS, DRAWN = 30, 5
"""Sets of pictures prepared for a question, and how many of them a participant is shown (FaceCrafter sec. 4.2)."""


class PictureSet(StrictModel):
    """One thing to decide.

    Attributes:
        name: of the set.
        shown: reference pictures, paths in the study's folder.
        options: method -> its pictures (several where diversity is asked about).
    """

    name: str
    shown: list[str] = Field(default_factory=list)
    options: dict[str, list[str]]

    @property
    def pictures(self) -> list[str]:
        """All of its pictures."""
        return [*self.shown, *(name for names in self.options.values() for name in names)]


class Question(StrictModel):
    """One question over a number of sets; every set has the same methods."""

    text: str
    sets: list[PictureSet] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_set_of_methods(self) -> Question:
        if any(one.options.keys() != self.sets[0].options.keys() for one in self.sets):
            raise ValueError("every set must have the same methods")
        return self

    @property
    def methods(self) -> list[str]:
        """The methods to choose among."""
        return list(self.sets[0].options)


class Study(StrictModel):
    """A whole study."""

    title: str = "Which picture?"
    seed: int = 0
    drawn: int = Field(default=DRAWN, ge=1)
    questions: list[Question] = Field(default_factory=list)


class Task(StrictModel):
    """One choice a participant makes.

    Attributes:
        question, set: indices.
        order: the methods in the order in which they are shown.
    """

    question: int
    set: int
    order: list[str]


def load_study(folder: Path) -> Study:
    """Read a study.

    Raises:
        BadInput: if there is none.
        ConfigError: if it has unknown or missing keys.
    """
    if not (folder / FILE).is_file():
        raise BadInput(f"There is no study in {folder}; make one with: mien study add {folder} --question ...")
    study = Study.parsed(read_json(folder / FILE), folder / FILE)
    for name in {name for question in study.questions for one in question.sets for name in one.pictures}:
        picture_of(folder, name)
    return study


def picture_of(folder: Path, name: str) -> Path:
    """A picture of a study, as a path without links.

    Raises:
        BadInput: if it lies outside the study's folder, also by way of a link, or is no picture by its name: a server
            would hand it out.
    """
    from mien.media.pictures import ENDINGS

    try:
        path = (folder / name).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a zero byte
        raise BadInput(f"{folder / FILE} names {name!r}, which cannot be found: remove it.") from error
    if not path.is_relative_to(folder.resolve()) or path.suffix.lower() not in ENDINGS:
        raise BadInput(f"{folder / FILE} names {name!r}, which is no picture in {folder}: remove it.")
    return path


def add_question(
    folder: Path, text: str, options: Mapping[str, Path], shown: Path | None = None, limit: int = SETS
) -> int:
    """Add a question to a study (made where there is none), with copies of the pictures.

    Args:
        folder: the study.
        text: the question.
        options: method -> folder; a set is a picture ``NAME.png`` (or another ending), or a folder ``NAME`` of several.
        shown: folder of the reference pictures, named alike; None where there are none.
        limit: number of sets, the first by name.

    Returns:
        The number of sets.

    Raises:
        BadInput: for fewer than two methods, a folder that is absent, or no set that all have.
    """
    if len(options) < 2:
        raise BadInput("A choice needs two methods or more; give --option NAME=FOLDER at least twice.")
    make_folder(folder)
    with only_process(folder / LOCK, f"the study in {folder}"):
        return _add_question(folder, text, options, shown, limit)


def _add_question(folder: Path, text: str, options: Mapping[str, Path], shown: Path | None, limit: int) -> int:
    if (folder / "votes.jsonl").exists():
        raise BadInput(f"{folder} has votes already: questions cannot be added to it; start another study.")
    study = load_study(folder) if (folder / FILE).is_file() else Study()
    sources = {name: _sets(path) for name, path in options.items()}
    references = None if shown is None else _sets(shown)
    names = set.intersection(*map(set, sources.values()), *([] if references is None else [set(references)]))
    if not names:
        raise BadInput("The folders have no set in common: pictures belong together by name without ending.")
    place = f"pictures/{len(study.questions)}"
    sets = []
    for index, name in enumerate(sorted(names)[:limit]):
        # file names say nothing about the method, since a browser shows them
        copies = {
            method: _copy(found[name], folder, f"{place}/{index}-{_code(study.seed, method)}")
            for method, found in sources.items()
        }
        seen = [] if references is None else _copy(references[name], folder, f"{place}/{index}-shown")
        sets.append(PictureSet(name=name, shown=seen, options=copies))
    study.questions.append(Question(text=text, sets=sets))
    write_json(folder / FILE, study.model_dump())
    return len(sets)


def tasks_of(study: Study, participant: str) -> list[Task]:
    """What a participant is asked, in order; follows from the participant's token alone, so that it can be resumed."""
    seed = hashlib.sha256(f"{study.seed}/{participant}".encode()).digest()
    rng = random.Random(seed)
    tasks = []
    for number, question in enumerate(study.questions):
        for chosen in rng.sample(range(len(question.sets)), min(study.drawn, len(question.sets))):
            order = question.methods
            rng.shuffle(order)
            tasks.append(Task(question=number, set=chosen, order=order))
    rng.shuffle(tasks)
    return tasks


def _sets(folder: Path) -> dict[str, list[Path]]:
    from mien.media.pictures import files_in

    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}; check the path.")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            found[_name(path.name)] = files_in(path)
    for path in files_in(folder):
        found[_name(path.stem)] = [path]
    return {name: files for name, files in found.items() if files}


def _name(name: str) -> str:
    """Names are compared in one form of Unicode: macOS writes accents apart from their letters."""
    return unicodedata.normalize("NFC", name)


def _copy(files: list[Path], folder: Path, stem: str) -> list[str]:
    from mien.media.pictures import open_picture
    from mien.provenance.png import write_picture

    copies = []
    for number, file in enumerate(files):
        picture = open_picture(file)  # a damaged picture is found now, not by a participant
        picture.info.clear()  # a colour profile may name the program that made the picture
        target = folder / f"{stem}-{number}.png"
        write_picture(target, picture, None)
        copies.append(target.relative_to(folder).as_posix())
    return copies


def _code(seed: int, method: str) -> str:
    return hashlib.sha256(f"{seed}/{method}".encode()).hexdigest()[:8]
