from __future__ import annotations

import contextlib
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from mien.errors import BadInput, MienError, MissingDependency
from mien.media.pictures import open_picture, open_with_transparency


def _gradient(width: int = 64, height: int = 48) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8))


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: show it turned clockwise
    _gradient().save(tmp_path / "a.jpg", exif=exif)
    assert open_picture(tmp_path / "a.jpg").size == (48, 64)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_every_orientation_is_applied_once(tmp_path: Path, orientation: int, ending: str) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"a.{ending}"
    _gradient().save(path, exif=exif)
    opened = open_picture(path)
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(opened), np.asarray(ImageOps.exif_transpose(picture)))
    assert np.array_equal(np.asarray(opened), np.asarray(ImageOps.exif_transpose(opened)))
    opened.save(tmp_path / "again.png")
    assert np.array_equal(np.asarray(opened), np.asarray(open_picture(tmp_path / "again.png")))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize(("offset", "value", "size"), [(25, 9, (48, 64)), (0, 9, (64, 48))])
def test_malformed_exif_does_not_keep_a_picture_from_being_opened(
    tmp_path: Path, offset: int, value: int, size: tuple[int, int], ending: str
) -> None:
    exif = Image.Exif()
    exif[274], exif[296] = 6, 2
    data = bytearray(exif.tobytes())
    data[6 + offset] = value  # the number of values of another tag, or the header of all
    _gradient().save(tmp_path / f"a.{ending}", exif=bytes(data))
    assert open_picture(tmp_path / f"a.{ending}").size == size


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_flattened_on_white(tmp_path: Path, mode: str) -> None:
    picture = _gradient().convert(mode)
    picture.putalpha(0)
    picture.save(tmp_path / "a.png")
    opened = open_picture(tmp_path / "a.png")
    assert opened.mode == "RGB"
    assert np.asarray(opened).min() == 255


def test_palette_with_transparent_colour(tmp_path: Path) -> None:
    picture = Image.new("P", (40, 40), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.save(tmp_path / "a.png", transparency=0)
    assert np.asarray(open_picture(tmp_path / "a.png")).min() == 255


def test_16_bit_grey_keeps_its_tones(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    pixels = np.asarray(open_picture(tmp_path / "a.png"))
    assert abs(float(pixels.mean()) - 127.5) < 1


def _png(width: int, height: int, depth: int, data: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_16_bit_rgb_png(tmp_path: Path) -> None:
    values = np.full((40, 40, 3), 32768, ">u2")
    (tmp_path / "a.png").write_bytes(_png(40, 40, 16, b"".join(b"\0" + row.tobytes() for row in values)))
    assert abs(float(np.asarray(open_picture(tmp_path / "a.png")).mean()) - 128) <= 1


def test_cmyk_jpeg(tmp_path: Path) -> None:
    _gradient().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    difference = np.asarray(open_picture(tmp_path / "a.jpg")).astype(int) - np.asarray(_gradient())
    assert np.abs(difference).mean() < 6


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert np.asarray(open_picture(tmp_path / "a.gif"))[0, 0].tolist() == [255, 0, 0]


def test_declared_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(20_000, 20_000, 8, b"\0" * 100))
    with pytest.raises(MienError, match="pixels"):
        open_picture(tmp_path / "a.png")


def test_tiny_truncated_foreign_and_absent_files(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    _gradient(200, 200).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    expected = {
        "dot.png": "at least 32",
        "cut.jpg": "cut off",
        "text.png": "not a picture",
        "empty.png": "not a picture",
    }
    for name, words in expected.items():
        with pytest.raises(MienError, match=words):
            open_picture(tmp_path / name)
    with pytest.raises(MienError, match="no picture file"):
        open_picture(tmp_path / "absent.png")


def test_transparency_is_told_where_there_is_any(tmp_path: Path) -> None:
    picture = _gradient().convert("RGBA")
    picture.save(tmp_path / "opaque.png")
    _gradient().save(tmp_path / "rgb.jpg")
    picture.putalpha(100)
    exif = Image.Exif()
    exif[274] = 6
    picture.save(tmp_path / "a.png", exif=exif)
    assert open_with_transparency(tmp_path / "opaque.png") is None
    assert open_with_transparency(tmp_path / "rgb.jpg") is None
    found = open_with_transparency(tmp_path / "a.png")
    assert found is not None and found.size == (48, 64) and found.getpixel((0, 0)) == (0, 255, 255, 100)


@pytest.mark.parametrize("ending", ["png", "avif", "gif", "webp", "tif", "jpg", "bmp"])
def test_mutants_are_opened_or_refused_in_one_sentence(tmp_path: Path, ending: str) -> None:
    """Pillow raises IndexError, RuntimeError and others on damaged files; the corpus follows from the seed."""
    path = tmp_path / f"a.{ending}"
    try:
        _gradient().save(path)
    except KeyError:
        pytest.skip(f"this Pillow writes no {ending}")
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(60):
        mutant = bytearray(content)
        for place in rng.integers(0, len(mutant), 1 + number % 8):
            mutant[place] = rng.integers(0, 256)
        path.write_bytes(mutant[: rng.integers(1, len(mutant))] if number % 5 == 0 else mutant)
        with contextlib.suppress(MienError):
            assert open_picture(path).mode == "RGB"


def test_a_heic_picture_says_which_package_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = tmp_path / "photo.jpg"  # the content counts, not the name
    photo.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingDependency, match=r"photo.jpg is a HEIC picture: run  pip install pillow-heif"):
        open_picture(photo)
    with photo.open("rb") as file, pytest.raises(MissingDependency, match="the photo is a HEIC"):
        open_picture(file, "the photo")


def test_a_heic_picture_is_read_where_the_package_is_installed(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(tmp_path / "red.heic")
    found = open_picture(tmp_path / "red.heic")
    assert found.size == (64, 48)
    assert np.allclose(np.asarray(found).mean((0, 1)), (200, 30, 30), atol=6)  # HEVC keeps colours nearly


def test_a_folder_is_told_from_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is a folder: give a picture file\."):
        open_picture(tmp_path)
    with pytest.raises(BadInput, match="no picture file"):
        open_picture(tmp_path / "none.png")


def test_a_name_that_is_too_long_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"Cannot read x+\.png: File name too long; check the path"):
        open_picture(f"{'x' * 300}.png")
