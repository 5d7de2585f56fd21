"""Shards from elsewhere: whatever is in them, one sentence."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data import tar as tar_module
from mien.data.shards import encode_png, read_shard
from mien.errors import BadInput
from tests.data.test_shards import record

KEY = "0000007-003"


def add(archive: tarfile.TarFile, name: str, content: bytes, **about: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in about.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


def shard(path: Path, change: Callable[[tarfile.TarFile], None] | None = None, **files: bytes) -> Path:
    parts = {"png": encode_png(np.full((48, 48, 3), 90, np.uint8)), "json": json.dumps(record()).encode(), **files}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for kind, content in parts.items():
            add(archive, f"{KEY}.{kind.replace('_', '.')}", content)
        if change is not None:
            change(archive)
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Callable[[tarfile.TarFile], None]:
    return lambda archive: add(archive, name, b"", type=kind, linkname=target)


def patched_size(path: Path, size: bytes) -> None:
    """The first header with another size, and a sum that fits."""
    content = bytearray(path.read_bytes())
    content[124:136] = size
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)


def test_extended_headers_long_names_and_foreign_files_are_fine(tmp_path: Path) -> None:
    def more(archive: tarfile.TarFile) -> None:
        add(archive, f"{KEY}.txt", b"a caption", mtime=1.5)
        add(archive, f"{'a' * 150}/._{KEY}.png", b"of macOS")
        add(archive, "folder", b"", type=tarfile.DIRTYPE)

    (entry,) = read_shard(shard(tmp_path / "a.tar", more))
    assert entry.image.shape == (48, 48, 3) and entry.sample.key == KEY
    with tarfile.open(tmp_path / "gnu.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        add(archive, f"{'b' * 150}/{KEY}.png", encode_png(np.zeros((48, 48, 3), np.uint8)))
        add(archive, f"{'b' * 150}/{KEY}.json", json.dumps(record()).encode())
    assert len(list(read_shard(tmp_path / "gnu.tar"))) == 1


@pytest.mark.parametrize(
    "change",
    [
        link(f"{KEY}.mask.png", f"{KEY}.mask.png"), link(f"{KEY}.mask.png", "/etc/passwd"),
        link(f"{KEY}.mask.png", f"{KEY}.png", tarfile.LNKTYPE), link(f"{KEY}.mask.png", "x", tarfile.CHRTYPE),
        link(f"{KEY}.mask.png", "x", tarfile.FIFOTYPE),
        lambda archive: add(archive, "0000008-000.png", b"", type=tarfile.GNUTYPE_SPARSE),
        lambda archive: add(archive, "0000008-000.png", b"", pax_headers={"GNU.sparse.realsize": "9" * 12}),
    ],
)  # fmt: skip
def test_links_and_special_files_are_refused(tmp_path: Path, change: Callable[[tarfile.TarFile], None]) -> None:
    with pytest.raises(BadInput, match=r"a\.tar is not a whole shard"):
        list(read_shard(shard(tmp_path / "a.tar", change)))


@pytest.mark.parametrize(
    "size",
    [
        b"77777777777\0",
        b"\xff" * 12,
        b"\x80" + b"\xff" * 11,
        b"-0000000001\0",
        b"what's that",
        b"00000000001\0",
        b"\0" * 12,
    ],
)
def test_a_size_that_lies_is_refused(tmp_path: Path, size: bytes) -> None:
    path = shard(tmp_path / "a.tar")
    patched_size(path, size)
    with pytest.raises(BadInput, match=r"a\.tar"):
        list(read_shard(path))


def test_a_large_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_module, "LARGEST", 10_000)
    with pytest.raises(BadInput, match="a file of 20000 bytes"):
        list(read_shard(shard(tmp_path / "a.tar", mask_png=bytes(20_000))))


def picture(width: int, height: int, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("L", (width, height)).save(stream, form)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"png": picture(12_000, 12_000)}, "more than 100 million"), ({"png": picture(5000, 40)}, "4096 at most"),
        ({"mask_png": picture(40, 48)}, "another size"), ({"png": picture(48, 48)[:60]}, "damaged or cut off"),
        ({"png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n"}, "not a picture"),
        ({"png": b""}, "not a picture"), ({"json": b"[" * 100_000}, "not the record"),
        ({"json": b"\xff"}, "not the record"),
        ({"json": json.dumps(record(person=2**70)).encode()}, "person"),
        ({"json": json.dumps(record(gaze=[1e300, 0])).encode()}, "gaze"),
    ],
)  # fmt: skip
def test_portraits_that_cannot_be_are_named(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    with pytest.raises(BadInput, match=rf"a\.tar, {KEY}.*{words}|a\.tar: the mask of {KEY} has {words}"):
        list(read_shard(shard(tmp_path / "a.tar", None, **files)))


def test_a_file_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="twice"):
        list(read_shard(shard(tmp_path / "a.tar", lambda archive: add(archive, f"{KEY}.png", b"again"))))
