from __future__ import annotations

from pathlib import Path

import pytest

from mien.data.importing.layouts import list_items
from mien.errors import BadInput
from tests.data.importing_fakes import colour_faces
from tests.raw_data import write_agedb, write_celeba, write_ffhq


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_folder(tmp_path: Path) -> None:
    touched(tmp_path, "ann/2.jpg", "ann/10.jpg", "ann/film.mp4", "bob/a/1.png", "lone.png", "ann/.hidden.jpg")
    (tmp_path / "ann" / "2.txt").write_text("a woman with a hat\n")
    found = list_items("folder", tmp_path)
    assert [(item.file, item.who) for item in found] == [
        ("ann/2.jpg", "ann"), ("ann/10.jpg", "ann"), ("ann/film.mp4", "ann"), ("bob/a/1.png", "bob"),
        ("lone.png", "lone"),
    ]  # fmt: skip
    assert found[0].caption == "a woman with a hat" and found[2].is_video


def test_ffhq(tmp_path: Path) -> None:
    write_ffhq(tmp_path, colour_faces, people=3, side=32)
    touched(tmp_path, "thumbnails128x128/00000/00000.png", "images1024x1024/69000/69999.png")
    found = list_items("ffhq", tmp_path)
    assert [item.who for item in found] == ["00000", "00001", "00002", "69999"], (
        "thumbnails are other files of the same"
    )
    assert [item.labels["split"] for item in found] == ["train"] * 3 + ["validation"]


def test_mead(tmp_path: Path) -> None:
    touched(
        tmp_path, "M003/video/front/happy/level_2/001.mp4", "W009/video/left_30/disgusted/level_1/002.mp4",
        "M003/audio/happy/level_2/001.m4a",
    )  # fmt: skip
    first, second = list_items("mead", tmp_path)
    assert (first.who, dict(first.labels)) == ("M003", {"view": "front", "emotion": "happy", "level": "2"})
    assert (second.who, second.labels["emotion"]) == ("W009", "disgust")


def test_celeba(tmp_path: Path) -> None:
    write_celeba(tmp_path, colour_faces, people=3, per_person=2)
    found = list_items("celeba", tmp_path)
    assert [item.who for item in found] == ["1000", "1000", "1007", "1007", "1014", "1014"], (
        "one person after the other"
    )
    assert {item.labels["split"] for item in found} == {"train", "test"}
    (tmp_path / "Anno" / "identity_CelebA.txt").write_text("000001.jpg\n")
    with pytest.raises(BadInput, match=r"identity_CelebA.txt, line 1"):
        list_items("celeba", tmp_path)
    (tmp_path / "Anno" / "identity_CelebA.txt").unlink()
    with pytest.raises(BadInput, match=r"lacks .*identity_CelebA.txt"):
        list_items("celeba", tmp_path)


def test_agedb(tmp_path: Path) -> None:
    write_agedb(tmp_path, colour_faces, people=2, per_person=2)
    found = list_items("agedb", tmp_path)
    assert [(item.who, item.labels["age"]) for item in found] == [
        ("PersonA", "30"), ("PersonA", "31"), ("PersonB", "30"), ("PersonB", "31"),
    ]  # fmt: skip


def test_wrong_folders_and_names(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="choose one of: folder, ffhq, mead"):
        list_items("imagenet", tmp_path)
    with pytest.raises(BadInput, match="There is no folder"):
        list_items("folder", tmp_path / "nothing")
    with pytest.raises(BadInput, match="nothing of the layout video"):
        list_items("video", tmp_path)


def test_what_is_not_of_the_layout_is_counted(tmp_path: Path) -> None:
    """Pictures were passed over without a word."""
    write_celeba(tmp_path / "celeba", colour_faces, people=2, per_person=2)
    touched(tmp_path / "celeba", "img_celeba/999999.jpg")
    with pytest.warns(UserWarning, match=r"1 files of .*celeba.*such as img_celeba/999999.jpg, and are left out"):
        assert len(list_items("celeba", tmp_path / "celeba")) == 4
    touched(tmp_path / "agedb", "0_A_30_f.jpg", "notes.png", "1_B_²_f.jpg")
    with pytest.warns(UserWarning, match="2 files of"):
        assert [item.who for item in list_items("agedb", tmp_path / "agedb")] == ["A"]
    touched(tmp_path / "mead", "M003/video/front/happy/level_2/001.mp4", "M003/video/001.mp4", "001.mp4")
    with pytest.warns(UserWarning, match="2 files of"):
        assert len(list_items("mead", tmp_path / "mead")) == 1


@pytest.mark.parametrize("number", ["²", "٣", "9" * 5000, "-1", "1.5", "0x1"])
def test_numbers_that_python_does_not_read(number: str, tmp_path: Path) -> None:
    """``"²".isdigit()`` is true, and ``int("²")`` an error."""
    write_celeba(tmp_path, colour_faces, people=1, per_person=1)
    (tmp_path / "Anno" / "identity_CelebA.txt").write_text(f"000001.jpg {number}\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"identity_CelebA.txt, line 1"):
        list_items("celeba", tmp_path)
    touched(tmp_path / "ffhq", f"{number[:80]}.png")
    assert not list_items("ffhq", tmp_path / "ffhq")[0].labels


def test_text_files_in_other_codes(tmp_path: Path) -> None:
    write_celeba(tmp_path, colour_faces, people=1, per_person=1)
    table = tmp_path / "Anno" / "identity_CelebA.txt"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert len(list_items("celeba", tmp_path)) == 1, "with the mark that some editors put in front"
    table.write_bytes("000001.jpg 1 \xe9".encode("latin-1"))
    with pytest.raises(BadInput, match=r"identity_CelebA.txt is not text in UTF-8 .*: save it again as UTF-8"):
        list_items("celeba", tmp_path)
    touched(tmp_path / "folder", "ann/1.png")
    (tmp_path / "folder" / "ann" / "1.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(BadInput, match=r"1.txt is not text in UTF-8"):
        list_items("folder", tmp_path / "folder")
