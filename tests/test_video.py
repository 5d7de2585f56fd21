"""Frames out of films and folders, and films out of frames."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput, MissingDependency
from mien.video import check_film, read_frames, write_film


def pictures(folder: Path, count: int = 6, size: tuple[int, int] = (64, 48)) -> list[Path]:
    """Frames that get brighter."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:03d}.png" for number in range(count)]
    for number, file in enumerate(files):
        Image.new("RGB", size, (40 * number, 40 * number, 40 * number)).save(file)
    return files


def shades(path: Path, rate: float | None = None) -> list[float]:
    return [float(np.asarray(image).mean()) for image in read_frames(path, rate).images]


@pytest.mark.parametrize("name", ["film.mp4", "film.gif", "film.webp"])
def test_a_film_holds_its_frames_rate_and_comment(tmp_path: Path, name: str) -> None:
    if name.endswith("mp4"):
        av = pytest.importorskip("av", reason="av is not installed: pip install 'mien[video]'")
    files = pictures(tmp_path / "frames")
    film = tmp_path / name
    write_film(film, files, 10.0, '{"made": "here"}')
    found = read_frames(film)
    assert math.isclose(found.rate, 10.0, rel_tol=0.01)
    np.testing.assert_allclose(shades(film), [40.0 * number for number in range(6)], atol=4)
    if name.endswith("mp4"):
        with av.open(str(film)) as opened:
            assert opened.metadata["comment"] == '{"made": "here"}'
    else:
        with Image.open(film) as opened:
            comment = opened.info.get("comment", b"").decode() or opened.getexif().get(0x010E)
            assert comment == '{"made": "here"}'
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]  # nothing half written is left


def test_a_lower_rate_takes_an_even_share(tmp_path: Path) -> None:
    pictures(tmp_path, 6)
    assert read_frames(tmp_path).rate == 25.0
    assert shades(tmp_path, 12.5) == [0.0, 80.0, 160.0]
    assert read_frames(tmp_path, 50).rate == 25.0 and len(shades(tmp_path, 50)) == 6


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
        check_film(tmp_path / "film.avi")


def test_a_damaged_video_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="av is not installed: pip install 'mien[video]'")
    film = tmp_path / "film.mp4"
    film.write_bytes(b"no video at all")
    with pytest.raises(BadInput, match="not a video"):
        read_frames(film)


def test_without_av_the_install_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingDependency, match=r"pip install 'mien\[video\]'"):
        check_film(tmp_path / "film.mp4")
    check_film(tmp_path / "film.gif")
