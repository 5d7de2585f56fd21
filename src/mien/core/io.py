"""Files: atomic writes, hashes, the cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from mien.errors import BadInput, ConfigError, MienError

UNTEXT = "backslashreplace"
"""How bytes of names are written that are no text."""
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")
"""Names of `tempfile`."""


def cache_folder() -> Path:
    """The user's cache folder for mien (``MIEN_CACHE``, else ``~/.cache/mien``); not created here."""
    return Path(os.environ.get("MIEN_CACHE") or Path.home() / ".cache" / "mien")


@contextmanager
def atomic_path(path: Path | str, first: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends without an error.

    A reader sees the old file or the whole new one, never a half; on any error the temporary file is removed.

    Args:
        path: the file.
        first: leave a file that is there when the block ends as it is: of several processes the first one writes it.

    Raises:
        MienError: if the folder cannot be written or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise MienError(f"Cannot write to {path.parent}: {error.strerror}; choose another folder.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; what we write is an ordinary file
        if not first or not _linked(temporary, path):
            temporary.replace(path)
    except OSError as error:
        raise MienError(f"Cannot write {path}: {error.strerror or error}; free some space and try again.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _linked(temporary: Path, path: Path) -> bool:
    """Give a file the name ``path`` too, unless one is called so; False where the disk has no such links."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        MienError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MienError(f"Cannot write to {folder}: {error.strerror}; choose another folder.") from error


def remove_temporaries(folder: Path) -> None:
    """Remove what killed writers left anywhere in a folder; nobody may be writing there.

    They are called ``.NAME.RANDOM`` and, where the name has an ending, ``.NAME.RANDOM.ENDING``.
    """
    for path in [path for path in folder.rglob(".*") if _TEMPORARY.fullmatch(path.name)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def check_apart(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over what is read, or into a folder that is cleared and holds it.

    Raises:
        BadInput: naming the first input that is one of the outputs, or lies in one.
    """
    there = [path for path in outputs if path.exists()]
    for path in inputs if there else ():
        # files, not names, are compared: links and the other case of a letter lead to the same picture
        places = (one for one in (path, *path.resolve().parents) if one.exists())
        if any(place.samefile(output) for place in places for output in there):
            raise BadInput(f"{path} is an input, which would be lost: choose another place with -o.")


def check_writable(files: Iterable[Path]) -> None:
    """Refuse files that cannot be written, before the work that they are to hold; nothing is created.

    Raises:
        MienError: if one is a folder, or its own folder cannot be made or written to.
    """
    paths = list(files)
    for path in paths:
        if path.is_dir():
            raise BadInput(f"{path} is a folder, and a file is to be written there: choose another place with -o.")
    for folder in dict.fromkeys(path.parent for path in paths):
        place = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            raise MienError(f"Cannot write to {folder}: {error.strerror}; choose another folder.") from error


def read_text(path: Path | str) -> str:
    """Read somebody's text file in UTF-8, with or without the mark that some editors put in front.

    Raises:
        BadInput: if it cannot be read, or is no text.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}; check the path.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not text in UTF-8 ({error}): save it again as UTF-8.") from error


def write_text(path: Path | str, text: str) -> None:
    """Write text atomically, in UTF-8.

    Bytes of a file's name that are no text are written as JSON writes them, with their number.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=UNTEXT)


def write_json(path: Path | str, value: object) -> None:
    """Write JSON atomically, indented by 2, keys in the order given."""
    write_text(path, _json_text(value))


def _json_text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        MienError: if it is absent or not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # nested deeper than Python reads is no JSON of anybody's
        raise MienError(f"{path} is not a JSON file ({error}); write it again.") from error


def claim(
    path: Path,
    request: Mapping[str, Any],
    content: str,
    file: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Write what a folder's content was asked for with, or check that the folder was made by the same request.

    Of two requests at once one is the folder's, and the other is refused.

    Args:
        path: JSON file in that folder.
        request: everything the content depends on, as JSON values.
        content: what the folder is said to hold if it is not this, such as ``another data set``.
        file: the whole file, with the request under ``request``; the request alone if None.
        defaults: values of keys that files of earlier releases lack.

    Raises:
        ConfigError: if the folder belongs to another request, or its file is damaged.
    """
    if not path.exists():
        with atomic_path(path, first=True) as temporary:
            temporary.write_text(_json_text(request if file is None else file), encoding="utf-8", errors=UNTEXT)
    stored = read_json(path)
    asked = stored.get("request", stored) if isinstance(stored, dict) else None
    if not isinstance(asked, dict):
        raise ConfigError(f"{path} is damaged: get a whole copy of it, or choose another folder.")
    stored = {**(defaults or {}), **asked}
    different = [_changed(key, stored.get(key), value) for key, value in request.items() if stored.get(key) != value]
    if different:
        raise ConfigError(
            f"{path.parent} holds {content} ({', '.join(different)}): repeat its command, or choose another folder."
        )


def _changed(key: str, old: object, new: object) -> str:
    """Hashes and tables of settings are named alone: nobody reads them in a sentence."""
    sentence = f"{key} {old} instead of {new}"
    return sentence if len(sentence) <= 60 else key


def is_hidden(path: PurePath) -> bool:
    """Whether a file or a folder above it has a dot in front: a program's own notes, or what an interrupted write left.

    Args:
        path: inside the folder that is looked at.
    """
    return any(part.startswith(".") for part in path.parts)


def sha256_of(path: Path | str) -> str:
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
