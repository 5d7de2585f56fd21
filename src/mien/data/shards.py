"""Shards of portraits: plain tar files in WebDataset's layout (`KEY.png`, `KEY.mask.png`, `KEY.json`)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from mien.data.schema import Sample
from mien.errors import BadInput, MienError
from mien.io import atomic_path

PATTERN = "shard-*.tar"


def shard_name(index: int) -> str:
    """File name of a shard."""
    return f"shard-{index:05d}.tar"


def shard_paths(folder: Path | str) -> list[Path]:
    """Finished shards of a folder, in order (unfinished ones have hidden temporary names)."""
    return sorted(Path(folder).glob(PATTERN))


@dataclass(frozen=True, eq=False)
class Entry:
    """One portrait of a shard: image uint8 [H, W, 3], mask uint8 [H, W] (255 = face) or None, and its record."""

    image: np.ndarray
    mask: np.ndarray | None
    sample: Sample


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

    def write(self, image: np.ndarray, mask: np.ndarray | None, sample: Sample) -> None:
        """Add one portrait."""
        self._add(f"{sample.key}.png", encode_png(image))
        if mask is not None:
            self._add(f"{sample.key}.mask.png", encode_png(mask))
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
        BadInput: if the file is no shard, or is cut short, or a portrait in it lacks its picture or its record.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            parts: dict[str, bytes] = {}
            key = ""
            for member in tar:
                stem, _, kind = Path(member.name).name.partition(".")
                if parts and stem != key:
                    yield _entry(path, key, parts)
                    parts = {}
                key = stem
                stream = tar.extractfile(member)
                parts[kind] = stream.read() if stream else b""
            if parts:
                yield _entry(path, key, parts)
    except (tarfile.TarError, OSError) as error:
        raise BadInput(f"{path} is not a whole shard ({error}); render it again.") from error


def _entry(path: Path | str, key: str, parts: dict[str, bytes]) -> Entry:
    if "png" not in parts or "json" not in parts:
        raise BadInput(f"{path}: the portrait {key} lacks its {'picture' if 'png' not in parts else 'record'}.")
    image = np.asarray(Image.open(io.BytesIO(parts["png"])).convert("RGB"))
    mask = np.asarray(Image.open(io.BytesIO(parts["mask.png"])).convert("L")) if "mask.png" in parts else None
    return Entry(image, mask, Sample.from_json(parts["json"]))
