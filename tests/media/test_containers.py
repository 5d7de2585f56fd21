"""What a container says about showing its frames, in space and in time, is heeded."""

from __future__ import annotations

import struct
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput
from mien.media.pictures import files_in
from mien.media.video import LONGEST_STILL, first_picture, frames_at, read_frames

WIDTH, HEIGHT = 64, 48
IDENTITY = (1, 0, 0, 1)


@pytest.fixture
def av() -> Any:
    return pytest.importorskip("av", reason="av is not installed: pip install 'mien[video]'")


def corners() -> Image.Image:
    """Each quarter another colour, so that every turn and mirror image is another picture."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    top, left = HEIGHT // 2, WIDTH // 2
    pixels[:top, :left], pixels[:top, left:] = (220, 30, 30), (30, 220, 30)
    pixels[top:, :left], pixels[top:, left:] = (30, 30, 220), (220, 220, 30)
    return Image.fromarray(pixels)


def film(
    av: Any,
    path: Path,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    frames: list[Image.Image] | None = None,
    times: list[int] | None = None,
    pixel: Fraction | None = None,
    rate: int = 25,
    **about: Any,
) -> Path:
    """A film; ``times`` are in milliseconds."""
    with av.open(str(path), "w", **about) as opened:
        stream = opened.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        if pixel is not None:
            stream.codec_context.sample_aspect_ratio = pixel
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(frames or [corners()] * 3):
            frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgba" if image.mode == "RGBA" else "rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            for packet in stream.encode(frame):
                opened.mux(packet)
        for packet in stream.encode():
            opened.mux(packet)
    return path


def animation(path: Path, image: Image.Image) -> None:
    """Two frames of one picture; WebP by hand, since Pillow 13 writes its films without transparency."""
    if path.suffix == ".gif":
        image.save(path, save_all=True, append_images=[image], duration=40, disposal=2)
        return
    stream = BytesIO()
    image.save(stream, "WEBP", lossless=True)
    still = stream.getvalue()

    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    def little(number: int) -> bytes:
        return struct.pack("<I", number)[:3]

    pixels = still[still.index(b"VP8L") :]
    size = little(image.width - 1) + little(image.height - 1)
    frame = chunk(b"ANMF", bytes(6) + size + little(40) + b"\3" + pixels)
    body = b"WEBP" + chunk(b"VP8X", b"\x12\0\0\0" + size) + chunk(b"ANIM", bytes(6)) + 2 * frame
    path.write_bytes(chunk(b"RIFF", body))


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """The film with another display matrix in its track header, as cameras that were turned write it."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 4 + 20 + 16
    assert struct.unpack_from(">9i", content, start)[0] == 1 << 16
    struct.pack_into(">9i", content, start, a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def near(image: Image.Image, expected: Image.Image, within: float = 12) -> bool:
    if image.size != expected.size:
        return False
    difference = np.abs(np.asarray(image, float) - np.asarray(expected.convert("RGB"), float))
    return float(difference.mean()) < within


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        (IDENTITY, None),
        ((0, 1, -1, 0), Image.Transpose.ROTATE_270),  # PIL turns against the clock
        ((-1, 0, 0, -1), Image.Transpose.ROTATE_180),
        ((0, -1, 1, 0), Image.Transpose.ROTATE_90),
        ((-1, 0, 0, 1), Image.Transpose.FLIP_LEFT_RIGHT),
        ((1, 0, 0, -1), Image.Transpose.FLIP_TOP_BOTTOM),
        ((0, 1, 1, 0), Image.Transpose.TRANSPOSE),
        ((0, -1, -1, 0), Image.Transpose.TRANSVERSE),
    ],
)
def test_a_film_of_a_turned_camera_is_upright(
    av: Any, tmp_path: Path, matrix: tuple[int, int, int, int], turn: Image.Transpose | None
) -> None:
    path = with_matrix(film(av, tmp_path / "a.mp4"), *matrix)
    expected = corners() if turn is None else corners().transpose(turn)
    images = list(read_frames(path).images)
    assert len(images) == 3 and all(near(image, expected) for image in images)
    assert near(first_picture(path), expected)
    assert near(next(frames_at(path, 1.0)).image, expected)


@pytest.mark.parametrize(("pixel", "size"), [(Fraction(2), (64, 24)), (Fraction(1, 2), (32, 48)), (None, (64, 48))])
def test_pixels_that_are_not_square_become_square(
    av: Any, tmp_path: Path, pixel: Fraction | None, size: tuple[int, int]
) -> None:
    path = film(av, tmp_path / "a.mp4", pixel=pixel)
    assert first_picture(path).size == size
    turned = with_matrix(path, 0, 1, -1, 0)
    assert first_picture(turned).size == size[::-1]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.mov", "qtrle", "argb"), ("a.webm", "libvpx-vp9", "yuva420p"), ("a.mkv", "ffv1", "yuva420p"),
     ("a.gif", "", ""), ("a.webp", "", ""), ("folder", "", "")],
)  # fmt: skip
def test_transparency_is_white_in_films_as_in_pictures(
    av: Any, tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    image = corners().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, HEIGHT // 2, WIDTH, HEIGHT))
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        for number in range(2):
            image.save(path / f"{number}.png")
    elif codec:
        film(av, path, codec, pix_fmt, [image] * 2)
    else:
        animation(path, image)
    expected = corners()
    expected.paste("white", (0, HEIGHT // 2, WIDTH, HEIGHT))
    for shown in read_frames(path).images:
        assert near(shown, expected)
    if codec:
        (taken,) = frames_at(path, 1.0)
        assert near(taken.image, expected)


def test_a_hidden_colour_does_not_show(av: Any, tmp_path: Path) -> None:
    """A film that declares its matrix is decoded with it: red of BT.709 is not the red of BT.601."""
    red = Image.new("RGB", (WIDTH, HEIGHT), (200, 20, 20))
    film(av, tmp_path / "plain.mp4", frames=[red] * 2)
    frame = av.VideoFrame.from_ndarray(np.asarray(red), format="rgb24")
    with av.open(str(tmp_path / "hd.mp4"), "w") as opened:
        stream = opened.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.colorspace = 1
        for packet in [*stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")), *stream.encode()]:
            opened.mux(packet)
    for name in ("plain.mp4", "hd.mp4"):
        assert near(first_picture(tmp_path / name), red, 4)


def grey(number: int) -> Image.Image:
    return Image.new("RGB", (WIDTH, HEIGHT), (25 * number,) * 3)


def numbers(path: Path, rate: float | None = None) -> list[int]:
    """Which frame is seen at each tick."""
    return [round(float(np.asarray(image).mean()) / 25) for image in read_frames(path, rate).images]


def test_frames_that_stand_for_different_times_are_taken_by_the_clock(av: Any, tmp_path: Path) -> None:
    """Ten frames in the first second and ten more in three: what the face does in that time is not hurried."""
    times = [100 * number for number in range(5)] + [500 + 500 * number for number in range(5)]
    path = film(av, tmp_path / "a.mkv", "ffv1", "bgr0", [grey(number) for number in range(10)], times)
    assert numbers(path, 2.0) == [0, 5, 6, 7, 8, 9]
    found = numbers(path)
    rate = read_frames(path).rate
    assert len(found) / rate == pytest.approx(2.5 + 1 / rate, abs=1 / rate)
    assert found == sorted(found) and found[-1] == 9


def test_a_late_start_is_no_pause(av: Any, tmp_path: Path) -> None:
    path = film(av, tmp_path / "a.mkv", "ffv1", "bgr0", [grey(number) for number in range(4)], [3000, 3040, 3080, 3120])
    assert numbers(path, 25) == [0, 1, 2, 3]


def test_what_an_edit_list_cuts_is_not_read(av: Any, tmp_path: Path) -> None:
    """The first 4 of 10 frames are cut as phones cut: the edit list starts later, the frames stay in the file."""
    path = film(av, tmp_path / "a.mp4", frames=[grey(number) for number in range(10)])
    content = bytearray(path.read_bytes())
    start = content.index(b"elst") + 4
    version, count = content[start], struct.unpack_from(">I", content, start + 4)[0]
    assert (version, count) == (0, 1)
    media = content.index(b"mdhd") + 4
    clock = struct.unpack_from(">I", content, media + 12)[0]
    length, begin = struct.unpack_from(">Ii", content, start + 8)
    struct.pack_into(">Ii", content, start + 8, length * 6 // 10, begin + clock * 4 // 25)
    path.write_bytes(content)
    assert numbers(path) == [4, 5, 6, 7, 8, 9]


def test_an_animation_keeps_its_pauses(tmp_path: Path) -> None:
    first, *rest = [grey(number) for number in range(4)]
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, duration=[40, 200, 40, 40])
    assert numbers(tmp_path / "a.gif") == [0, 1, 1, 1, 1, 1, 2, 3]


def test_a_damaged_clock_is_no_endless_film(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, *rest = [grey(number) for number in range(4)]
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, duration=[40, 600_000, 40, 40])
    assert len(numbers(tmp_path / "a.gif", 10)) == pytest.approx(10 * LONGEST_STILL, abs=3)
    assert "stands for more than" in caplog.text


def test_a_damaged_clock_has_no_endless_frames_taken(av: Any, tmp_path: Path) -> None:
    frames, times = [grey(number) for number in range(6)], [0, 40, 80, 120, 864_000_000, 864_000_040]
    path = film(av, tmp_path / "a.mkv", "ffv1", "bgr0", frames, times)
    taken = [round(float(np.asarray(one.image).mean()) / 25) for one in islice(frames_at(path, 1.0), 100)]
    assert taken == [0] + [3] * int(LONGEST_STILL) + [5] or taken == [0] + [3] * int(LONGEST_STILL)


def test_a_slow_film_is_taken_at_the_interval_asked_for(av: Any, tmp_path: Path) -> None:
    times = [60_000 * number for number in range(4)]
    path = film(av, tmp_path / "a.mkv", "ffv1", "bgr0", [grey(number) for number in range(4)], times)
    taken = [round(float(np.asarray(one.image).mean()) / 25) for one in frames_at(path, 60.0)]
    assert taken == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wmv", "wmv2"), ("a.mpg", "mpeg2video"), ("a.ts", "mpeg2video"), ("a.3gp", "mpeg4"), ("a.flv", "flv"),
     ("A.MP4", "mpeg4"), ("a.m2ts", "mpeg2video"), ("a.mkv", "mpeg4"), ("a.avi", "mpeg4"), ("a.mov", "mpeg4")],
)  # fmt: skip
def test_films_of_every_common_kind_are_read(av: Any, tmp_path: Path, name: str, codec: str) -> None:
    # noise, since FFmpeg looks at some packets before it knows a file; its MPEG writer may leave a gap of one frame
    noise = [Image.effect_noise((WIDTH, HEIGHT), 40).convert("RGB") for _ in range(12)]
    images = list(read_frames(film(av, tmp_path / name, codec, frames=noise)).images)
    assert len(images) in (12, 13) and images[0].size == (WIDTH, HEIGHT)


def test_frames_of_a_folder_come_in_natural_order_without_hidden_files(tmp_path: Path) -> None:
    for number in (1, 2, 3, 9, 10, 11):
        grey(number % 10).save(tmp_path / f"frame{number}.png")
    (tmp_path / "._frame1.png").write_bytes(b"\0\5\x16\7 of macOS")
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert [path.name for path in files_in(tmp_path)] == [f"frame{number}.png" for number in (1, 2, 3, 9, 10, 11)]
    assert numbers(tmp_path) == [1, 2, 3, 9, 0, 1]


def test_a_playlist_called_a_film_leads_nowhere(av: Any, tmp_path: Path) -> None:
    secret = film(av, tmp_path / "secret.mp4")
    (tmp_path / "a.mp4").write_text(f"ffconcat version 1.0\nfile {secret.name}\n")
    (tmp_path / "b.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret.name}\n#EXT-X-ENDLIST\n")
    for name in ("a.mp4", "b.mp4"):
        with pytest.raises(BadInput, match=name):
            list(read_frames(tmp_path / name).images)
    with pytest.raises(BadInput, match="no video or folder"):
        read_frames(Path(f"concat:{secret}|{secret}"))
