from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mien.data.importing.job as job_module
from mien.core.stages.execute import parse_part
from mien.data.check import check, read_contents
from mien.data.corpus import Corpus
from mien.data.importing.job import ImportJob
from mien.data.importing.people import tell_apart
from mien.data.importing.request import seconds
from mien.data.join import join
from mien.data.shards import read_packed, read_shard
from mien.errors import BadInput, ConfigError, MienError
from tests.data.importing_fakes import colour_faces, contents, fake_tools
from tests.raw_data import write_celeba, write_ffhq, write_mead, write_video
from tests.synthetic import write_corpus


def job(source: Path, folder: Path, layout: str, **changes: Any) -> ImportJob:
    settings = {"every": 1.0, "size": 64, "framing": "studio", "ending": "png", "min_face": 20, "reader": "colours",
                "same": 0.5, "per_shard": 4} | changes  # fmt: skip
    return ImportJob.open(source, folder, fake_tools(), layout=layout, **settings)


@pytest.fixture(scope="module")
def celeba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_celeba(tmp_path_factory.mktemp("celeba"), colour_faces, people=4, per_person=3)


def test_records_pictures_and_rows(celeba: Path, tmp_path: Path) -> None:
    (celeba / "img_celeba" / "000001.jpg").write_bytes(b"cut off")
    Image.new("RGB", (280, 280)).save(celeba / "img_celeba" / "000002.jpg")
    made = job(celeba, tmp_path, "celeba")
    assert made.run()
    report = made.summary()
    assert (report["pictures"], report["people"], report["shards"]) == (10, 4, 3)
    assert report["reasons"] == {"no face": 1, "unreadable": 1}
    rows = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert len(rows) == 12 and [row["reason"] == "" for row in rows] == ["key" in row for row in rows]
    entries = [entry for number in range(3) for entry in read_shard(tmp_path / f"shard-0000{number}.tar")]
    first = entries[0].sample
    assert entries[0].image.shape == (64, 64, 3) and entries[0].mask is not None and entries[0].mask.mean() > 20
    assert first.origin is not None and first.origin.who == "1000" and first.origin.labels == {"split": "train"}
    assert first.origin.read_by["identity"] == "colours" and first.origin.read_by["mask"] == "face oval"
    assert first.coefficients is None and first.attributes is None and first.emotion is not None
    for person in range(4):
        numbers = [entry.sample.picture for entry in entries if entry.sample.person == person]
        assert numbers == list(range(len(numbers))) and numbers
    assert not (tmp_path / ".parts").exists()
    assert made.run() and made.summary() == report, "a finished import is left alone"
    corpus = Corpus.load(tmp_path)
    assert len(corpus) == 10 and not corpus.missing("emotion").any()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text_are_left_out_with_the_reason(tmp_path: Path) -> None:
    """Nobody could write a record of them, and the whole import ended in a traceback."""
    for name in ("a/1.png", "a/caf\udce9.png", "b\u2028/1.png"):
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        colour_faces(3, 0, 280).save(tmp_path / "raw" / name)
    made = job(tmp_path / "raw", tmp_path / "made", "folder")
    assert made.run()
    assert made.summary() == {"pictures": 2, "people": 2, "shards": 1, "left_out": 1, "reasons": {"unreadable": 1}}
    assert check(read_contents(tmp_path / "made"))["left_out"] == {"unreadable": 1}


@pytest.mark.parametrize("parts", [2, 3])
def test_any_number_of_parts_makes_the_same_bytes(
    celeba: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr(job_module, "UNIT", 2)
    whole = job(celeba, tmp_path / "whole", "celeba")
    whole.run()
    for part in range(parts, 0, -1):
        with pytest.raises(MienError, match="are not done: run the parts first"):
            job(celeba, tmp_path / "parts", "celeba").run(finish_only=True)
        assert not job(celeba, tmp_path / "parts", "celeba").run(part=(part, parts))
    assert job(celeba, tmp_path / "parts", "celeba").run(finish_only=True)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_killed_import_goes_on(celeba: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "UNIT", 2)
    whole = job(celeba, tmp_path / "whole", "celeba")
    whole.run()
    killed = job(celeba, tmp_path / "killed", "celeba")
    for unit in (0, 3):
        killed.do(unit)
    killed.rows_file(3).unlink()  # killed between its two files
    (tmp_path / "killed" / "shard-00099.tar").write_bytes(b"of a finishing that was killed")
    assert job(celeba, tmp_path / "killed", "celeba").run()
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    with pytest.raises(ConfigError, match=r"another dataset \(size 64 instead of 32\)"):
        job(celeba, tmp_path / "killed", "celeba", size=32)


def test_two_processes_make_the_same_bytes(celeba: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "UNIT", 64)
    job(celeba, tmp_path / "one", "celeba").run()
    videos = write_ffhq(tmp_path / "raw", colour_faces, people=130, side=48)
    for name, workers in (("alone", 1), ("both", 2)):
        made = job(videos, tmp_path / name, "ffhq", framing="keep")
        assert len(made.units) == 3 and made.run(fake_tools, workers=workers)
    assert contents(tmp_path / "alone") == contents(tmp_path / "both")


def test_pictures_on_which_readers_fail_are_left_out(celeba: Path, tmp_path: Path) -> None:
    made = job(celeba, tmp_path, "celeba")
    reader = made.tools.reader  # type: ignore[union-attr]
    calls = []

    def fail(images: Any) -> Any:
        calls.append(1)
        raise ZeroDivisionError

    reader.read_batch = fail  # type: ignore[method-assign]
    with pytest.raises(MienError, match=r"No picture .* was kept: failed three times"):
        made.run()
    assert len(calls) == 3


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_other_formats(tmp_path: Path, ending: str) -> None:
    write_ffhq(tmp_path / "raw", colour_faces, people=3, side=96)
    for name in (ending, "png"):
        made = job(tmp_path / "raw", tmp_path / name, "ffhq", ending=name, framing="keep")
        made.run()
    small, exact = (list(read_shard(tmp_path / name / "shard-00000.tar")) for name in (ending, "png"))
    assert [packed.ending for packed in read_packed(tmp_path / ending / "shard-00000.tar")] == [ending] * 3
    for a, b in zip(small, exact, strict=True):
        assert np.abs(a.image.astype(int) - b.image).max() <= 4, "quality 95 of a plain picture"


def test_videos_at_intervals_with_the_datasets_labels(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="av is not installed: pip install 'mien[video]'")
    write_mead(tmp_path / "raw", colour_faces, actors=("M003",), emotions=("happy", "sad"), seconds=3)
    made = job(tmp_path / "raw", tmp_path / "out", "mead")
    assert len(made.units) == 2
    made.run()
    assert made.summary()["pictures"] == 6
    samples = [packed.sample for packed in read_packed(tmp_path / "out" / "shard-00000.tar")]
    assert [one.origin.time for one in samples if one.origin] == [0.0, 1.0, 2.0, 0.0]
    assert samples[0].origin is not None and samples[0].origin.labels["level"] == "1"


def test_people_of_a_video_are_told_apart(tmp_path: Path) -> None:
    """Two side by side; later the first of them alone, elsewhere."""
    pytest.importorskip("av", reason="av is not installed: pip install 'mien[video]'")
    pictures = []
    for second in range(4):
        canvas = Image.new("RGB", (192, 96))
        canvas.paste(colour_faces(1, 0, 96), (0 if second < 2 else 96, 0))
        if second < 2:
            canvas.paste(colour_faces(2, 0, 96), (96, 0))
        pictures.append(canvas)
    write_video(tmp_path / "raw" / "clip.mp4", pictures)
    made = job(tmp_path / "raw", tmp_path / "out", "video", min_face=10)
    made.run()
    assert made.summary()["people"] == 2
    rows = [json.loads(line) for line in (tmp_path / "out" / "report.jsonl").read_text().splitlines()]
    assert sorted(row["who"] for row in rows) == ["clip.mp4#0"] * 4 + ["clip.mp4#1"] * 2


def test_tracks_and_clusters() -> None:
    person = np.eye(3, 8, dtype=np.float32)
    here, there = (0.0, 0.0, 10.0, 10.0), (50.0, 0.0, 60.0, 10.0)
    frames, who = [0, 0, 1, 1, 2, 3], [0, 1, 0, 1, 2, 0]
    boxes = [here, there, here, there, here, there]
    assert tell_apart(frames, boxes, person[who], 0.5) == [0, 1, 0, 1, 2, 0]
    assert tell_apart([0, 0], [here, there], person[[0, 0]], 0.5) == [0, 1], "two faces of one frame are two people"
    assert tell_apart([], [], np.zeros((0, 8), np.float32), 0.5) == []


def test_intervals_and_parts() -> None:
    assert [seconds(text) for text in ("1s", "500ms", "2min", "0.25")] == [1.0, 0.5, 120.0, 0.25]
    assert parse_part("2/8") == (2, 8)
    for text in ("0s", "1h", "-1s", "s", "9" * 400):
        with pytest.raises(BadInput, match="Write an interval"):
            seconds(text)
    for text in ("0/2", "3/2", "1", "a/b"):
        with pytest.raises(BadInput, match="is no part"):
            parse_part(text)


def test_check_knows_which_stages_need_templates(tmp_path: Path) -> None:
    for name, paired in (("plain", False), ("pairs", True)):
        folder = write_corpus(tmp_path / name, people=2, per_person=3, templates=paired)
        stages = {one["name"]: one for one in check(read_contents(folder))["stages"]}
        for stage in ("refined E-Adapter", "ICA"):
            told = [problem for problem in stages[stage]["problems"] if "template" in problem]
            assert told == ([] if paired else ["6 pictures have no template: build pairs with mien pairs build"])
            assert stages[stage]["possible"] == (paired and stages["E-Adapter"]["possible"])


def test_check_finds_doubles_people_and_damage(tmp_path: Path) -> None:
    def noisy(person: int, number: int, side: int) -> Image.Image:
        rng = np.random.default_rng(person)
        image = np.asarray(colour_faces(person, number, side)).astype(int) + rng.integers(-60, 60, (side, side, 3))
        image[side // 2 - 2 : side // 2 + 2, side // 2 - 2 : side // 2 + 2] = np.asarray(colour_faces(person, 0, 4))
        return Image.fromarray(image.clip(0, 255).astype(np.uint8)).resize((side, side))

    for name, first in (("train", 0), ("test", 2)):
        write_ffhq(tmp_path / f"raw-{name}", noisy, people=4, side=96, first=first)
        made = job(tmp_path / f"raw-{name}", tmp_path / name, "ffhq", framing="keep", per_shard=2)
        made.run()
    train, test = read_contents(tmp_path / "train"), read_contents(tmp_path / "test")
    report = check(train, test)
    assert report["pictures"] == 4 and report["people"] == 4
    landmark = report["stages"][0]
    assert not landmark["possible"] and landmark["with_partner"] == 0
    doubles = {tuple(pair) for pair in report["test"]["near_duplicates"]}
    assert doubles == {("0000002-000", "0000000-000"), ("0000003-000", "0000001-000")}
    assert len(report["test"]["people_in_both"]) >= 2
    shard = tmp_path / "train" / "shard-00000.tar"
    shard.write_bytes(shard.read_bytes()[:5000])
    damaged = read_contents(tmp_path / "train")
    assert len(damaged.damaged) == 1 and "shard-00000.tar" in damaged.damaged[0]
    with pytest.raises(BadInput, match="mien data import"):
        read_contents(tmp_path / "nothing")


def test_join_keeps_people_apart(celeba: Path, tmp_path: Path) -> None:
    write_ffhq(tmp_path / "raw", colour_faces, people=3, side=96)
    for layout, source, name in (("ffhq", tmp_path / "raw", "a"), ("celeba", celeba, "b")):
        made = job(source, tmp_path / name, layout)
        made.run()
    pictures, people = join([tmp_path / "a", tmp_path / "b"], tmp_path / "both")
    assert people == 7 and pictures == len(Corpus.load(tmp_path / "both"))
    assert Corpus.load(tmp_path / "both").people == 7
    with pytest.raises(BadInput, match="holds a dataset already"):
        join([tmp_path / "a", tmp_path / "b"], tmp_path / "both")
