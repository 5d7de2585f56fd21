"""Shards of portraits: plain tar files in WebDataset's layout (`KEY.png`, `KEY.mask.png`, `KEY.json`).

Renders also have `KEY.matte.png`, the person without the background. A shard of pairs also holds `KEY.template.png`:
the same expression on another face.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from mien.core.io import atomic_path
from mien.data.schema import Sample
from mien.data.tar import plain_files
from mien.errors import BadInput, MienError
from mien.media.pictures import opened, to_rgb

PATTERN = "shard-*.tar"
_EXTRA = {"mask": "L", "matte": "L", "template": "RGB"}
"""Further pictures of an entry -> their mode."""

_KINDS = {"png", "json", *(f"{kind}.png" for kind in _EXTRA)}

LARGEST_SIDE = 4096
"""Pixels of a portrait's side."""


def shard_name(index: int) -> str:
    """File name of a shard."""
    return f"shard-{index:05d}.tar"


def shard_paths(folder: Path | str) -> list[Path]:
    """Finished shards of a folder, in order (unfinished ones have hidden temporary names)."""
    return sorted(Path(folder).glob(PATTERN))


@dataclass(frozen=True, eq=False)
class Entry:
    """One portrait of a shard.

    Attributes:
        image: uint8 [H, W, 3].
        mask: uint8 [H, W], 255 = face; or None.
        sample: its record.
        template: uint8 [H, W, 3] where the record tells of a template, else None.
        matte: uint8 [H, W], share of each pixel that is not background, 255 = person; or None.
    """

    image: np.ndarray
    mask: np.ndarray | None
    sample: Sample
    template: np.ndarray | None = None
    matte: np.ndarray | None = None


def encode_png(pixels: np.ndarray) -> bytes:
    """PNG bytes of uint8 [H, W] or [H, W, 3]; compressed lightly, because renders are written in bulk."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


class ShardWriter:
    """Write one shard; it takes its final name only when the `with` block ends without an error.

    Members carry no time and no owner, so that equal content gives equal bytes.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.count = 0
        self._stack = ExitStack()
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(atomic_path(self.path))
        self._tar = self._stack.enter_context(tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar = None
        self._stack.__exit__(kind, error, trace)

    def write(self, entry: Entry) -> None:
        """Add one portrait."""
        key = entry.sample.key
        self._add(f"{key}.png", encode_png(entry.image))
        for kind in _EXTRA:
            pixels = getattr(entry, kind)
            if pixels is not None:
                self._add(f"{key}.{kind}.png", encode_png(pixels))
        self._add(f"{key}.json", entry.sample.to_json().encode())
        self.count += 1

    def _add(self, name: str, data: bytes) -> None:
        if self._tar is None:
            raise MienError(f"The shard {self.path} is not open: write to it inside a with block.")
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))


def read_shard(path: Path | str) -> Iterator[Entry]:
    """The portraits of a shard in their order.

    Raises:
        BadInput: if the file is no shard, is damaged or cut short, or a portrait in it lacks its picture or its record
            or has one that cannot be.
    """
    try:
        with Path(path).open("rb") as stream:
            parts: dict[str, bytes] = {}
            key = ""
            for name, content in plain_files(stream):
                stem, _, kind = PurePosixPath(name).name.partition(".")
                if not stem:  # hidden, such as what macOS leaves beside each file
                    continue
                if parts and stem != key:
                    yield _entry(path, key, parts)
                    parts = {}
                key = stem
                if kind in parts:
                    raise BadInput(f"{path} holds {key}.{kind} twice; render it again.")
                if kind in _KINDS:
                    parts[kind] = content
            if parts:
                yield _entry(path, key, parts)
    except MienError:
        raise
    except Exception as error:  # damaged archives also raise ValueError, OverflowError and others
        raise BadInput(f"{path} is not a whole shard ({error}); render it again.") from error


def _entry(path: Path | str, key: str, parts: dict[str, bytes]) -> Entry:
    if "png" not in parts or "json" not in parts:
        raise BadInput(f"{path}: the portrait {key} lacks its {'picture' if 'png' not in parts else 'record'}.")
    try:
        sample = Sample.from_json(parts["json"])
    except BadInput as error:
        raise BadInput(f"{path}, {key}: {error}") from error
    if (sample.template is None) != ("template.png" not in parts):
        raise BadInput(f"{path}: the pair {key} lacks its template's {'picture' if sample.template else 'record'}.")
    image = _pixels(parts["png"], "RGB", f"{path}, {key}.png")
    found: dict[str, np.ndarray] = {}
    for kind, mode in _EXTRA.items():
        if f"{kind}.png" not in parts:
            continue
        found[kind] = _pixels(parts[f"{kind}.png"], mode, f"{path}, {key}.{kind}.png")
        if found[kind].shape[:2] != image.shape[:2]:
            raise BadInput(f"{path}: the {kind} of {key} has another size than its picture; render it again.")
    return Entry(image, found.get("mask"), sample, found.get("template"), found.get("matte"))


def _pixels(data: bytes, mode: str, name: str) -> np.ndarray:
    with opened(io.BytesIO(data), name, smallest=1) as picture:
        if max(picture.size) > LARGEST_SIDE:
            raise BadInput(f"{name} is {picture.width} x {picture.height} pixels; make it {LARGEST_SIDE} at most.")
        return np.asarray(to_rgb(picture) if mode == "RGB" else picture.convert(mode))
