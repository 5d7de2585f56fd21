"""Which picture of one folder belongs to which of another."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from mien.errors import BadInput
from mien.media.pictures import PictureLike, files_below, files_in


@dataclass(frozen=True)
class Pairs:
    """Pictures that belong together.

    Attributes:
        reference, generated: files (or pictures in memory), row by row.
        unpaired: files of either side without a partner.
    """

    reference: tuple[PictureLike, ...]
    generated: tuple[PictureLike, ...]
    unpaired: tuple[Path, ...] = ()


def pair_up(reference: Path, generated: Path) -> Pairs:
    """Two pictures, or two folders whose files are paired by name without ending, in natural order.

    Raises:
        BadInput: if a path is absent, one is a folder and the other a file, names repeat, or no names agree.
    """
    for path in (reference, generated):
        if not path.exists():
            raise BadInput(f"There is nothing at {path}; check the path.")
    if reference.is_dir() != generated.is_dir():
        raise BadInput("Give two pictures or two folders, not one of each.")
    if not reference.is_dir():
        return Pairs((reference,), (generated,))
    a, b = _by_name(reference), _by_name(generated)
    both = [name for name in a if name in b]
    if not both:
        raise BadInput(
            f"No picture of {generated} has the name of one in {reference}: files are paired by name without ending."
        )
    alone = [a[name] for name in a if name not in b] + [b[name] for name in b if name not in a]
    return Pairs(tuple(a[name] for name in both), tuple(b[name] for name in both), tuple(alone))


def pictures_in(folder: Path) -> list[Path]:
    """Picture files of a folder in natural order.

    Raises:
        BadInput: if there is no such folder.
    """
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}; check the path.")
    return files_in(folder)


def picture_set(folder: Path) -> list[Path]:
    """Picture files that are compared as a set, whatever their names: those of a folder and of the folders in it.

    Raises:
        BadInput: if there is no such folder, or it has fewer than two.
    """
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}; check the path.")
    found = files_below(folder)
    if len(found) < 2:
        raise BadInput(f"{folder} has {len(found)} pictures: a set has at least two.")
    return found


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in pictures_in(folder):
        name = unicodedata.normalize("NFC", path.stem)  # macOS writes accents apart from their letters, others do not
        if name in found:
            raise BadInput(f"{folder} has {found[name].name} and {path.name}: rename or remove one of them.")
        found[name] = path
    return found
