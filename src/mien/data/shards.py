"""Shards of portraits: plain tar files in WebDataset's layout (`KEY.png`, `KEY.mask.png`, `KEY.json`).

A picture may also be a JPEG or WebP file (`KEY.jpg`, `KEY.webp`). Renders also have `KEY.matte.png`, the person without
the background. A shard of pairs also holds `KEY.template.png`: the same expression on another face.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
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

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
"""Ending of a portrait's picture -> Pillow's name of the format."""
QUALITY = 95
"""Of JPEG and WebP, from 0 to 100."""
_ENDINGS = (*FORMATS, "jpeg")
_KINDS = {*_ENDINGS, "json", *(f"{kind}.png" for kind in _EXTRA)}

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


def encode_picture(pixels: np.ndarray, ending: str = "png") -> bytes:
    """A portrait uint8 [H, W, 3] as a file with one of the endings of `FORMATS`; JPEG without chroma subsampling."""
    if ending == "png":
        return encode_png(pixels)
    stream = io.BytesIO()
    more = {"subsampling": 0} if ending == "jpg" else {}
    Image.fromarray(pixels).save(stream, FORMATS[ending], quality=QUALITY, **more)
    return stream.getvalue()


class ShardWriter:
    """Write one shard; it takes its final name only when the `with` block ends without an error.

    Members carry no time and no owner, so that equal content gives equal bytes.

    Args:
        path: of the shard.
        ending: of the portraits' pictures, one of `FORMATS`; masks, mattes and templates are PNG always.
    """

    def __init__(self, path: Path | str, ending: str = "png") -> None:
        self.path, self.ending = Path(path), ending
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
        files = {self.ending: encode_picture(entry.image, self.ending)}
        for kind in _EXTRA:
            pixels = getattr(entry, kind)
            if pixels is not None:
                files[f"{kind}.png"] = encode_png(pixels)
        self.write_files(entry.sample, files)

    def write_files(self, sample: Sample, files: Mapping[str, bytes]) -> None:
        """Add one portrait whose pictures are encoded already: ending -> content."""
        for ending, content in files.items():
            self._add(f"{sample.key}.{ending}", content)
        self._add(f"{sample.key}.json", sample.to_json().encode())
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
    for packed in read_packed(path):
        yield packed.entry()


@dataclass(frozen=True, eq=False)
class Packed:
    """One portrait of a shard, its pictures not decoded.

    Attributes:
        path: of the shard.
        key: its name in it.
        sample: its record.
        ending: of its picture.
        files: ending -> content, of the picture, its mask and so on; not of the record.
    """

    path: Path | str
    key: str
    sample: Sample
    ending: str
    files: Mapping[str, bytes]

    def image(self) -> np.ndarray:
        """The picture, uint8 [H, W, 3].

        Raises:
            BadInput: if it is damaged or too large.
        """
        return _pixels(self.files[self.ending], "RGB", f"{self.path}, {self.key}.{self.ending}")

    def entry(self) -> Entry:
        """With its pictures.

        Raises:
            BadInput: if one is damaged, or their sizes differ.
        """
        image = self.image()
        found: dict[str, np.ndarray] = {}
        for kind, mode in _EXTRA.items():
            if f"{kind}.png" not in self.files:
                continue
            found[kind] = _pixels(self.files[f"{kind}.png"], mode, f"{self.path}, {self.key}.{kind}.png")
            if found[kind].shape[:2] != image.shape[:2]:
                raise BadInput(
                    f"{self.path}: the {kind} of {self.key} has another size than its picture; render it again."
                )
        return Entry(image, found.get("mask"), self.sample, found.get("template"), found.get("matte"))


def read_packed(path: Path | str) -> Iterator[Packed]:
    """The portraits of a shard in their order, their pictures not decoded; raises as `read_shard` does."""
    for key, parts in _files_of_portraits(path):
        yield packed(path, key, parts)


def count_portraits(path: Path | str) -> int:
    """How many portraits `read_shard` finds in a shard, if it can read them; raises as it does for a damaged one."""
    return sum(1 for _ in _files_of_portraits(path))


def _files_of_portraits(path: Path | str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Key and files, ending -> content, of each portrait in order."""
    try:
        with Path(path).open("rb") as stream:
            parts: dict[str, bytes] = {}
            key = ""
            for name, content, _ in plain_files(stream):
                stem, kind = member_name(name)
                if not stem:
                    continue
                if parts and stem != key:
                    yield key, parts
                    parts = {}
                key = stem
                if kind in parts:
                    raise BadInput(f"{path} holds {key}.{kind} twice; render it again.")
                if kind in _KINDS:
                    parts[kind] = content
            if parts:
                yield key, parts
    except MienError:
        raise
    except Exception as error:  # damaged archives also raise ValueError, OverflowError and others
        raise BadInput(f"{path} is not a whole shard ({error}); render it again.") from error


def member_name(name: str) -> tuple[str, str]:
    """Key and ending of a file in a shard; no key for hidden ones, such as what macOS leaves beside each file."""
    key, _, kind = PurePosixPath(name).name.partition(".")
    return key, kind


def packed(path: Path | str, key: str, parts: Mapping[str, bytes]) -> Packed:
    """A portrait from its files in a shard, ending -> content.

    Raises:
        BadInput: if its picture or its record is not there, or is none.
    """
    ending = next((one for one in _ENDINGS if one in parts), None)
    if ending is None or "json" not in parts:
        raise BadInput(f"{path}: the portrait {key} lacks its {'picture' if ending is None else 'record'}.")
    sample = Sample.parsed(parts["json"], f"{path}, {key}: this is not the record of a portrait", BadInput)
    if (sample.template is None) != ("template.png" not in parts):
        raise BadInput(f"{path}: the pair {key} lacks its template's {'picture' if sample.template else 'record'}.")
    files = {kind: content for kind, content in parts.items() if kind != "json"}
    return Packed(path, key, sample, ending, files)


def _pixels(data: bytes, mode: str, name: str) -> np.ndarray:
    with opened(io.BytesIO(data), name, smallest=1) as picture:
        if max(picture.size) > LARGEST_SIDE:
            raise BadInput(f"{name} is {picture.width} x {picture.height} pixels; make it {LARGEST_SIDE} at most.")
        return np.asarray(to_rgb(picture) if mode == "RGB" else picture.convert(mode))
