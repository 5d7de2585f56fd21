"""What lies in a folder of raw data: files, whose pictures they are, and what the dataset itself says of them.

Each layout is the one in which the dataset is published; `docs/importing.md` shows them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mien.core.io import read_text
from mien.errors import BadInput, one_of
from mien.media.pictures import ENDINGS, files_below
from mien.media.video import VIDEOS


@dataclass(frozen=True)
class Item:
    """A file of raw data.

    Attributes:
        file: path below the source, with forward slashes.
        who: the person's name; None where a video's faces are to be told apart.
        labels: what the dataset says of it.
        caption: of a text file beside it.
    """

    file: str
    who: str | None
    labels: Mapping[str, str] = field(default_factory=dict)
    caption: str = ""

    @property
    def is_video(self) -> bool:
        """Whether it is a video, by its ending."""
        return Path(self.file).suffix.lower() in VIDEOS


_MEAD_EMOTIONS = {
    "angry": "anger", "contempt": "contempt", "disgusted": "disgust", "fear": "fear", "happy": "happy",
    "neutral": "neutral", "sad": "sad", "surprised": "surprise",
}  # fmt: skip
"""MEAD's folders -> our names."""
_CELEBA_SPLITS = {"0": "train", "1": "validation", "2": "test"}
_FFHQ_TRAIN = 60_000
"""Pictures of FFHQ's own training part, by number."""


def list_items(layout: str, source: Path) -> list[Item]:
    """All files of a folder in a layout, one person's after the other; a warning counts those that are not.

    Raises:
        BadInput: if the folder is not there, is not in that layout, or holds nothing of it.
    """
    if layout not in LAYOUTS:
        raise BadInput(f"There is no layout {layout!r}{one_of(layout, LAYOUTS)}.")
    if not source.is_dir():
        raise BadInput(f"There is no folder {source}; check the path.")
    items: list[Item] = []
    others: list[Path] = []
    for one in LAYOUTS[layout](source):
        (items if isinstance(one, Item) else others).append(one)  # type: ignore[arg-type]
    if not items:
        raise BadInput(f"There is nothing of the layout {layout} in {source}: see docs/importing.md for its folders.")
    if others:
        warnings.warn(
            f"{len(others)} files of {source} are not where the layout {layout} has pictures of people, such as "
            f"{_below(others[0], source)}, and are left out",
            stacklevel=2,
        )
    return items


def _is_number(text: str) -> bool:
    """Whether these are digits as `int` reads them: not all that `str.isdigit` takes are, nor thousands of them."""
    return re.fullmatch(r"[0-9]{1,18}", text) is not None


def _below(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()


def _folder(source: Path) -> Iterator[Item]:
    """``PERSON/...``: everything in a folder is one person's; a file that is in none is a person of its own."""
    for path in files_below(source, (*ENDINGS, *VIDEOS)):
        parts = path.relative_to(source).parts
        words = path.with_suffix(".txt")
        caption = read_text(words).strip() if words.is_file() else ""
        yield Item(_below(path, source), parts[0] if len(parts) > 1 else path.stem, caption=caption)


def _ffhq(source: Path) -> Iterator[Item]:
    """``images1024x1024/00000/00000.png``: every picture is a person of its own."""
    folder = source / "images1024x1024"
    for path in files_below(folder if folder.is_dir() else source, ENDINGS):
        part = {}
        if _is_number(path.stem):
            part = {"split": "train" if int(path.stem) < _FFHQ_TRAIN else "validation"}
        yield Item(_below(path, source), path.stem, part)


def _mead(source: Path) -> Iterator[Item | Path]:
    """``M003/video/front/happy/level_1/001.mp4``."""
    for path in files_below(source, VIDEOS):
        parts = path.relative_to(source).parts
        at = parts.index("video") if "video" in parts else 0
        view, emotion, level = (*parts[at + 1 : at + 4], "", "", "")[:3]
        if not 1 <= at <= len(parts) - 5 or emotion not in _MEAD_EMOTIONS or not re.fullmatch(r"level_[0-9]", level):
            yield path
            continue
        labels = {"view": view, "emotion": _MEAD_EMOTIONS[emotion], "level": level.removeprefix("level_")}
        yield Item(_below(path, source), parts[at - 1], labels)


def _celeba(source: Path) -> Iterator[Item | Path]:
    """``img_celeba/000001.jpg`` or ``img_align_celeba/...``, with ``identity_CelebA.txt``, perhaps in ``Anno``."""
    folders = [source / part / name for part in ("", "Img") for name in ("img_celeba", "img_align_celeba")]
    pictures = next((folder for folder in folders if folder.is_dir()), None)
    identities = _table(source, "identity_CelebA.txt")
    if pictures is None or identities is None:
        raise BadInput(
            f"{source} is not CelebA as published: it lacks img_celeba/ or img_align_celeba/, or identity_CelebA.txt."
        )
    splits = _table(source, "list_eval_partition.txt") or {}
    files = files_below(pictures, ENDINGS)
    yield from (path for path in files if path.name not in identities)
    named = [(identities[path.name], path) for path in files if path.name in identities]
    for who, path in sorted(named, key=lambda one: (int(one[0]), one[1].name)):
        split = _CELEBA_SPLITS.get(splits.get(path.name, ""))
        yield Item(_below(path, source), who, {"split": split} if split else {})


def _table(source: Path, name: str) -> dict[str, str] | None:
    """The two columns of one of CelebA's text files; None where it is not there.

    Raises:
        BadInput: if a line has not two words, the second a number.
    """
    places = [source / part / name for part in ("", "Anno", "Eval", "anno", "eval")]
    place = next((one for one in places if one.is_file()), None)
    if place is None:
        return None
    found: dict[str, str] = {}
    for number, line in enumerate(read_text(place).splitlines(), 1):
        words = line.split()
        if len(words) != 2 or not _is_number(words[1]):
            raise BadInput(f"{place}, line {number}: a picture's name and a number were expected; get the file again.")
        found[words[0]] = words[1]
    return found


def _agedb(source: Path) -> Iterator[Item | Path]:
    """``0_MariaCallas_35_f.jpg``: number, name, age and gender; pictures of a name are one person's."""
    found = []
    for path in files_below(source, ENDINGS):
        parts = path.stem.split("_")
        if len(parts) != 4 or not _is_number(parts[0]) or not _is_number(parts[2]):
            yield path
        else:
            found.append((parts[1], int(parts[0]), path, {"age": parts[2], "gender": parts[3]}))
    for name, _, path, labels in sorted(found, key=lambda one: one[:2]):
        yield Item(_below(path, source), name, labels)


def _video(source: Path) -> Iterator[Item]:
    """Any videos: the faces of each are told apart, and nobody is looked for in two of them."""
    for path in files_below(source, VIDEOS):
        yield Item(_below(path, source), None)


LAYOUTS: Mapping[str, Callable[[Path], Iterator[Item | Path]]] = {
    "folder": _folder, "ffhq": _ffhq, "mead": _mead, "celeba": _celeba, "agedb": _agedb, "video": _video,
}  # fmt: skip
"""Name -> what lists its files; a path alone is one that the layout has no place for."""
