"""Frames out of films and folders, and films out of frames."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.demo.examples import Examples
from mien.errors import BadInput, MissingDependency
from mien.media.video import read_frames
from mien.provenance.declaration import DIGITAL_SOURCE_TYPE
from mien.provenance.png import examine, read_record, write_picture
from mien.provenance.record import Record
from mien.provenance.video import check_video, write_video
from mien.provenance.watermark import detect_watermark

RECORD = Record(
    mien="0.1.0",
    settings={"seed": 3, "prompt": "eine Frau mit Käppi 🙂", "animation": {"rate": 10.0}},
    index=0,
    inputs={"identity": "a" * 64},
    models={"unet/model.safetensors": "b" * 64},
    environment={"torch": "2.6"},
)


def pictures(folder: Path, count: int = 6, size: tuple[int, int] = (64, 48)) -> list[Path]:
    """Frames that get brighter."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:03d}.png" for number in range(count)]
    for number, file in enumerate(files):
        Image.new("RGB", size, (40 * number, 40 * number, 40 * number)).save(file)
    return files


def shades(path: Path, rate: float | None = None) -> list[float]:
    return [float(np.asarray(image).mean()) for image in read_frames(path, rate).images]


FILMS = ["film.mp4", "film.gif", "film.webp"]


@pytest.mark.parametrize("name", FILMS)
def test_a_film_holds_its_frames_rate_and_record(tmp_path: Path, name: str) -> None:
    if name.endswith("mp4"):
        pytest.importorskip("av", reason="av is not installed: pip install 'mien[video]'")
    files = pictures(tmp_path / "frames")
    film = tmp_path / name
    write_video(film, files, 10.0, RECORD)
    found = read_frames(film)
    assert math.isclose(found.rate, 10.0, rel_tol=0.01)
    np.testing.assert_allclose(shades(film), [40.0 * number for number in range(6)], atol=4)
    if name.endswith("mp4"):
        import av

        with av.open(str(film)) as opened:
            assert opened.metadata["comment"] == RECORD.text()
    else:
        with Image.open(film) as opened:
            comment = opened.info.get("comment") or opened.getexif()[0x010E].encode("latin-1")
            assert comment.decode() == RECORD.text()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]  # nothing half written is left


@pytest.mark.parametrize("name", FILMS)
def test_a_film_says_where_it_comes_from(tmp_path: Path, name: str) -> None:
    if name.endswith("mp4"):
        pytest.importorskip("av", reason="av is not installed: pip install 'mien[video]'")
    photo = Image.open(Examples.load().people[0].path).convert("RGB").resize((128, 128))
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for number, file in enumerate(files):
        write_picture(file, photo.rotate(number), RECORD.model_copy(update={"index": number}))
    film = tmp_path / name
    write_video(film, files, 10.0, RECORD)
    found = examine(film)
    assert (found.record, found.digital_source_type, found.video) == (RECORD, DIGITAL_SOURCE_TYPE, True)
    assert read_record(film) == RECORD
    if not name.endswith("mp4"):  # there the mark is lost
        assert found.watermark_fits
        with Image.open(film) as opened:
            for number in range(3):
                opened.seek(number)
                assert detect_watermark(opened.convert("RGB"))
    write_video(film, files, 10.0, None)
    found = examine(film)
    assert (found.record, found.digital_source_type) == (None, None)
    with pytest.raises(BadInput, match="carries no record"):
        read_record(film)


def test_the_words_of_other_programs_are_no_record(tmp_path: Path) -> None:
    for number, words in enumerate((b"Created with GIMP", b'{"software": "other"}', b"\xff")):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{number}.gif", comment=words)
        assert examine(tmp_path / f"{number}.gif").record is None
    Image.new("RGB", (64, 64)).save(tmp_path / "changed.gif", comment=RECORD.text().replace("index", "indices"))
    with pytest.raises(BadInput, match="cannot be read"):
        examine(tmp_path / "changed.gif")
    words = tmp_path / "words.mp4"
    words.write_text("no video")
    pytest.importorskip("av", reason="av is not installed: pip install 'mien[video]'")
    with pytest.raises(BadInput, match="not a video"):
        examine(words)


def durations(film: Path) -> list[int]:
    with Image.open(film) as opened:
        found = []
        for number in range(opened.n_frames):  # type: ignore[attr-defined]
            opened.seek(number)
            opened.load()
            found.append(opened.info["duration"])
    return found


@pytest.mark.parametrize(
    ("name", "rate", "count", "shortest"),
    [("a.gif", 30, 60, 30), ("a.gif", 60, 50, 20), ("a.gif", 120, 25, 20), ("a.gif", 24, 60, 40),
     ("a.webp", 30, 60, 33), ("a.webp", 60, 60, 16), ("a.webp", 120, 45, 11)],
)  # fmt: skip
def test_an_animation_keeps_time_and_browsers_do_too(
    tmp_path: Path, name: str, rate: float, count: int, shortest: int
) -> None:
    files = [tmp_path / f"{number}.png" for number in range(60)]
    for number, file in enumerate(files):
        Image.new("RGB", (32, 32), (4 * number, 0, 255 - 4 * number)).save(file)
    film = tmp_path / name
    write_video(film, files, rate, None)
    told = durations(film)
    assert sum(told) == pytest.approx(1000 * 60 / rate, abs=21)
    assert len(told) == count and min(told) == shortest
    assert read_frames(film).rate == pytest.approx(rate * count / 60, rel=0.02)


def test_a_frame_that_stands_does_not_slow_the_film(tmp_path: Path) -> None:
    first, *rest = [Image.new("RGB", (64, 64), (20 * number, 0, 0)) for number in range(8)]
    told = [2000, *[40] * 7]
    first.save(tmp_path / "pause.gif", save_all=True, append_images=rest, duration=told)
    first.save(tmp_path / "pause.webp", save_all=True, append_images=rest, duration=told)
    first.save(tmp_path / "silent.gif", save_all=True, append_images=rest)
    assert [read_frames(tmp_path / name).rate for name in ("pause.gif", "pause.webp", "silent.gif")] == [25.0] * 3


@pytest.mark.parametrize("name", ["film.gif", "film.webp"])
def test_a_film_that_is_cut_off_is_named(tmp_path: Path, name: str) -> None:
    noise = [Image.effect_noise((64, 64), 90).convert("RGB") for _ in range(5)]
    noise[0].save(tmp_path / name, save_all=True, append_images=noise[1:], duration=40)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 7 // 10])
    with pytest.raises(BadInput, match=rf"{name} is damaged or cut off"):
        list(read_frames(tmp_path / name).images)


def test_a_lower_rate_takes_an_even_share(tmp_path: Path) -> None:
    film = tmp_path / "film.gif"
    write_video(film, pictures(tmp_path / "frames", 6), 25, None)
    assert read_frames(film).rate == 25.0
    assert shades(film, 12.5) == [0.0, 80.0, 160.0]
    assert read_frames(film, 50).rate == 25.0 and len(shades(film, 50)) == 6


def test_a_folder_has_the_rate_that_is_asked_for(tmp_path: Path) -> None:
    pictures(tmp_path, 6)
    assert read_frames(tmp_path).rate == 25.0
    for rate in (12.0, 50.0):
        assert read_frames(tmp_path, rate).rate == rate and len(shades(tmp_path, rate)) == 6


def test_large_frames_are_made_smaller(tmp_path: Path) -> None:
    pictures(tmp_path, 1, (2000, 1000))
    (image,) = read_frames(tmp_path).images
    assert image.size == (1024, 512)


def test_what_is_no_film_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no video or folder"):
        read_frames(tmp_path / "nothing.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no pictures"):
        read_frames(tmp_path / "empty")
    words = tmp_path / "words.gif"
    words.write_text("not a picture")
    with pytest.raises(BadInput, match="not a picture"):
        read_frames(words)
    with pytest.raises(BadInput, match=r"\.mp4, \.gif or \.webp"):
        check_video(tmp_path / "film.avi")


def test_a_damaged_video_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="av is not installed: pip install 'mien[video]'")
    film = tmp_path / "film.mp4"
    film.write_bytes(b"no video at all")
    with pytest.raises(BadInput, match="not a video"):
        read_frames(film)


def test_without_av_the_install_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingDependency, match=r"pip install 'mien\[video\]'"):
        check_video(tmp_path / "film.mp4")
    check_video(tmp_path / "film.gif")
