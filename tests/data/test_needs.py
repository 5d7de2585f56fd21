from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from mien.data.check import check, read_contents
from mien.data.corpus import Corpus
from mien.data.decoding import UNKNOWN
from mien.data.needs import check_needs
from mien.data.pairs import Pairs
from mien.data.shards import ShardWriter, read_shard
from mien.errors import BadInput
from mien.training.presets import PRESETS
from mien.training.run import stage_needs
from tests.synthetic import write_corpus

_RENDERERS = ("coefficients", "gaze", "flush", "pose", "landmarks", "attributes")


def photographs(folder: Path, people: int, per_person: int, first: int = 0, **changes: object) -> Path:
    """A dataset as photographs have it: what a reader tells, and nothing of a renderer's."""
    shard = write_corpus(folder, people, per_person, size=32, first=first) / "shard-00000.tar"
    entries = list(read_shard(shard))
    with ShardWriter(shard) as writer:
        for entry in entries:
            sample, rng = entry.sample, np.random.default_rng([entry.sample.person, entry.sample.picture])
            read = {
                "landmarks_mediapipe": sample.landmarks, "pose_mediapipe": sample.pose,
                "blendshapes_mediapipe": rng.random(52).tolist(),
            }  # fmt: skip
            photo = sample.model_copy(update={**dict.fromkeys(_RENDERERS), **read, **changes})
            writer.write(type(entry)(entry.image, entry.mask, photo))
    return folder


def test_what_a_photograph_does_not_say_is_nan(tmp_path: Path) -> None:
    corpus = Corpus.load(photographs(tmp_path, 2, 2))
    assert np.isnan(corpus["coefficients"]).all() and np.isnan(corpus["flush"]).all() and np.isnan(corpus["age"]).all()
    assert set(corpus.attributes["hair_style"]) == {UNKNOWN}
    assert np.isfinite(corpus.poses).all()
    assert not corpus.missing("landmarks").any() and corpus.missing("coefficients").all()


def test_stages_say_in_a_sentence_what_they_lack(tmp_path: Path) -> None:
    corpus = Corpus.load(photographs(tmp_path, 2, 2, emotion=None))
    check_needs(corpus, stage_needs(PRESETS["facecrafter-landmarks"]), "facecrafter-landmarks")
    with pytest.raises(BadInput, match=r"facecrafter-emotion needs valence.* 4 of 4 pictures .*\+emonet"):
        check_needs(corpus, stage_needs(PRESETS["facecrafter-emotion"]), "facecrafter-emotion")
    with pytest.raises(BadInput, match=r"studio-reader needs the renderer's coefficients.*mien studio render"):
        check_needs(corpus, stage_needs(PRESETS["studio-reader"]), "studio-reader")


def test_a_reader_without_blendshapes_is_said_before_pairs_are_looked_for(tmp_path: Path) -> None:
    corpus = Corpus.load(photographs(tmp_path, 2, 2, blendshapes_mediapipe=None))
    with pytest.raises(BadInput, match=r"needs blendshapes or coefficients .* 4 of 4 .*--reader mediapipe-torch"):
        check_needs(corpus, stage_needs(PRESETS["emojidiff-base"]), "emojidiff-base")


def test_every_preset_says_what_it_needs() -> None:
    for name, config in PRESETS.items():
        assert set(stage_needs(config)) <= {
            "landmarks", "pose", "expression", "emotion", "blendshapes", "coefficients", "gaze", "attributes",
        }, name  # fmt: skip


def test_pairs_of_photographs_are_read_by_blendshapes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """FFHQ alone is refused for want of pairs; with a few people of several pictures it is warned about."""
    alone = Corpus.load(photographs(tmp_path / "ffhq", people=8, per_person=1))
    with pytest.raises(BadInput, match="mien data join"):
        Pairs(alone)
    photographs(tmp_path / "mixed", people=8, per_person=1)
    photographs(tmp_path / "more", people=2, per_person=3, first=100)
    (tmp_path / "more" / "shard-00000.tar").rename(tmp_path / "mixed" / "shard-00001.tar")
    mixed = Corpus.load(tmp_path / "mixed")
    pairs = Pairs(mixed)
    assert "have a partner" in caplog.text
    rng = np.random.default_rng(0)
    rows = np.arange(len(mixed))
    assert (pairs.partners(rows, rng)[:8] == rows[:8]).all(), "who has one picture is their own partner"
    assert (pairs.partners(rows, rng)[8:] != rows[8:]).all()


def test_a_picture_in_which_mediapipe_found_no_face_stops_no_stage(tmp_path: Path) -> None:
    corpus = Corpus.load(write_corpus(tmp_path / "data", people=2, per_person=3))
    corpus.lacking = {}  # the index counted what the files say
    for lacking, refused in ((0, False), (2, False), (3, True)):
        blendshapes = np.zeros((6, 52), np.float32)
        blendshapes[:lacking] = np.nan
        corpus.arrays["blendshapes_mediapipe"] = blendshapes
        with pytest.raises(BadInput, match="MediaPipe's blendshapes") if refused else nullcontext():
            check_needs(corpus, ["blendshapes"], "studio-reader")


@pytest.mark.parametrize(("missing", "problems"), [(1, []), (4, ["4 pictures have no blendshapes"])])
def test_a_report_tolerates_what_training_tolerates(tmp_path: Path, missing: int, problems: list[str]) -> None:
    contents = read_contents(photographs(tmp_path, 3, 2))
    contents.corpus.arrays["blendshapes_mediapipe"][:missing] = np.nan
    stages = {stage["name"]: stage for stage in check(contents)["stages"]}
    assert stages["pairs of IDI"]["problems"] == problems
