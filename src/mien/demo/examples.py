"""The example inputs of the demo: renders of our own, shipped with the package, so nobody's photograph is needed.

They are made once, by ``benchmarks/examples.py``, from person seeds that no training or benchmark uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.core.io import read_json
from mien.errors import MissingAsset

FOLDER = Path(__file__).parents[1] / "assets" / "examples"
INDEX = "examples.json"


@dataclass(frozen=True)
class Example:
    """One example picture.

    Attributes:
        name: what the sheet calls it.
        path: the PNG file.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Examples:
    """People to draw, and faces of other people whose expressions are wanted."""

    people: tuple[Example, ...]
    templates: tuple[Example, ...]

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Examples:
        """The shipped examples.

        Raises:
            MissingAsset: if they are not there.
        """
        if not (folder / INDEX).is_file():
            raise MissingAsset(f"The example pictures are missing from {folder}: install mien again.")
        index: dict[str, list[dict[str, Any]]] = read_json(folder / INDEX)
        groups = (
            tuple(Example(entry["name"], folder / entry["file"]) for entry in index[key])
            for key in ("people", "templates")
        )
        return cls(*groups)
