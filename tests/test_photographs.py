"""The list of photographs, and how they are fetched and judged; the photographs themselves are not here."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.core.io import write_json
from mien.errors import BadInput
from mien.faces.types import Face
from tests.test_docs_results import script


def test_every_photograph_is_listed_once_with_what_is_needed_to_fetch_it() -> None:
    module = script("photograph_set")
    listed = module.photographs()
    assert len({one.name for one in listed}) == len({one.sha256 for one in listed}) == len(listed) > 200
    for one in listed:
        assert re.fullmatch(r"[0-9a-f]{64}", one.sha256) and re.fullmatch(r"[0-9a-f]{40}", one.commit)
        assert one.group in ("development", "held-out") and all(0 < share <= 1 for share in one.face)
    held_out = {name for many in module.faceless("held-out") for name in many.files}
    assert len(held_out) >= 500
    assert not held_out & {name for many in module.faceless("development") for name in many.files}


def test_the_sheets_people_and_templates_are_of_their_group() -> None:
    module, listed = script("photograph_drawing"), script("photograph_set").photographs()
    groups = {one.name: one.group for one in listed}
    for names in (module.PEOPLE, module.TEMPLATES):
        for group, chosen in names.items():
            assert {groups[name] for name in chosen} == {group}


def test_photographs_are_fetched_checked_and_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("photograph_set")
    source, folder = tmp_path / "web" / "owner" / "name" / ("c" * 40), tmp_path / "photos"
    (source / "faces").mkdir(parents=True)
    digests = []
    for name in ("a b.png", "wall.png"):
        Image.new("RGB", (40, 40), (len(name), 0, 0)).save(source / "faces" / name)
        digests.append(hashlib.sha256((source / "faces" / name).read_bytes()))
    row = {"group": "held-out", "repository": "owner/name", "commit": "c" * 40}
    write_json(tmp_path / "list.json", {
        "photographs": [{**row, "name": "one", "path": "faces/a b.png", "sha256": digests[0].hexdigest(),
                         "face": [0.5, 0.5, 0.5], "seen": {}}],
        "faceless": [{**row, "folder": "faces", "sha256": hashlib.sha256(digests[1].digest()).hexdigest(),
                      "files": ["wall.png"]}],
    })  # fmt: skip
    monkeypatch.setattr(module, "LIST", tmp_path / "list.json")
    with pytest.raises(BadInput, match=r"photographs\.py get"):
        module.check(folder)
    monkeypatch.setattr(module, "RAW", (tmp_path / "web").as_uri())
    module.fetch(folder)
    assert (folder / "one.png").is_file() and (folder / "faceless" / "wall.png").is_file()
    monkeypatch.setattr(module, "RAW", (tmp_path / "nowhere").as_uri())
    module.fetch(folder)  # all is there
    (folder / "one.png").write_bytes(b"another")
    with pytest.raises(BadInput, match="not the listed picture"):
        module.check(folder)
    (folder / "one.png").unlink()
    with pytest.raises(BadInput, match="cannot be had"):
        module.fetch(folder)


@pytest.mark.parametrize(
    ("box", "right"),
    [((30, 30, 70, 80), True), ((0, 30, 40, 80), False), ((45, 45, 55, 58), False), ((-20, -20, 120, 120), False)],
)
def test_the_right_face_lies_where_it_was_seen_and_is_as_large(box: tuple[float, ...], right: bool) -> None:
    module, listed = script("photographs"), script("photograph_set")
    one = listed.Photograph("x", "held-out", "a/b", "c", "d", "e", (0.5, 0.5, 0.4), {})
    assert module.is_right(one, Face("test", box), (100, 100)) is right  # type: ignore[arg-type]


def test_words_that_mean_the_same_agree_and_silence_is_no_answer() -> None:
    agree = script("photograph_drawing").agree
    seen = {"hair": "long red", "glasses": False, "beard": "none"}
    read = {"hair_style": "long wavy", "hair_color": "ginger", "glasses": "none", "beard": "stubble"}
    assert agree(seen, read) == {"bald": True, "hair_color": True, "glasses": True, "beard": True}
    assert set(agree(seen, {}).values()) == {None}
    assert agree({"hair": "bald", "beard": "goatee"}, {"hair_style": "quiff", "beard": "none"}) == {
        "bald": False, "beard": False,
    }  # fmt: skip


def test_a_sheet_has_a_tile_for_every_combination() -> None:
    module, listed = script("photograph_drawing"), script("photograph_set").photographs()
    tiles = [Image.new("RGB", (128, 128), (index * 20, 200, 0)) for index in range(6)]
    page = np.asarray(module.sheet(tiles, listed[:3], listed[3:5]))
    for index in range(6):
        assert (page == (index * 20, 200, 0)).all(-1).sum() == 128 * 128
