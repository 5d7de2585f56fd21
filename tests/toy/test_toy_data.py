"""The toy's training set, drawn by fakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data.corpus import Corpus
from mien.faces.types import Face, NoFace, OneFace
from mien.generation.tools import FaceTools
from mien.models import ID_PROMPT
from mien.studio.person import sample_person
from mien.toy.data import FIRST_PERSON, PEOPLE_A_SHARD, TURNS, draw_dataset, planned, steering
from tests.fakes import SIZE, FakePipeline, fake_tools, landmarks


class Few(FakePipeline):
    """Knows its own number of steps."""

    def __call__(self, **arguments: Any) -> Any:
        return super().__call__(**{"num_inference_steps": 1, **arguments})


def tools() -> FaceTools:
    """Readers of faces with everything that a record holds; in every fifth picture there is none."""
    count = iter(range(10_000))

    def read(image: Any, source: str) -> Any:
        if next(count) % 5 == 4:
            return NoFace(source)
        face = Face(
            "studio", (24, 24, 104, 104), landmarks=landmarks(), coefficients=np.full(53, 1.2, np.float32),
            pose=(1.0, 2.0, 3.0), emotion=np.full(10, 0.25, np.float32),
            mask=np.full((SIZE, SIZE), 255, np.uint8),
        )  # fmt: skip
        return OneFace(face, source)

    return replace(fake_tools(), read=read)


def test_a_set_is_what_the_reader_saw_and_a_lost_face_is_left_out(tmp_path: Path) -> None:
    pipeline, counts = Few(tmp_path / "model"), []
    draw_dataset(tmp_path / "data", 2, 3, pipeline, tools(), counts.append)
    assert sum(counts) == 6
    corpus = Corpus.load(tmp_path / "data")
    assert len(corpus) == 5 and set(corpus["person"]) == {FIRST_PERSON, FIRST_PERSON + 1}
    assert np.allclose(corpus["landmarks"], landmarks(), atol=1e-3)
    assert (corpus["coefficients"] == 1).all() and np.allclose(corpus["pose"], [1, 2, 3])
    assert np.allclose(corpus["emotion"], 0.25) and (corpus["masks"] == 255).all()
    assert np.isnan(corpus["landmarks_mediapipe"]).all()
    first, others = pipeline.calls
    assert "identity" not in first and others["identity"].shape == (4, 512)
    assert not any(words.startswith(ID_PROMPT) for words in first["prompt"])
    assert all(words.startswith(ID_PROMPT) for words in others["prompt"])
    assert all(call["speed"] == "few" for call in pipeline.calls)
    assert not any(words.startswith(ID_PROMPT) for words in corpus.captions)


def test_it_goes_on_with_the_first_shard_that_is_missing(tmp_path: Path) -> None:
    people = PEOPLE_A_SHARD + 1

    class Tired(Few):
        def __call__(self, **arguments: Any) -> Any:
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return super().__call__(**arguments)

    with pytest.raises(KeyboardInterrupt):
        draw_dataset(tmp_path / "data", people, 2, Tired(tmp_path / "model"), tools())
    assert [path.name for path in sorted((tmp_path / "data").iterdir())] == ["shard-00000.tar"]
    pipeline, counts = Few(tmp_path / "model"), []
    draw_dataset(tmp_path / "data", people, 2, pipeline, tools(), counts.append)
    assert sum(counts) == 2 * people and len(pipeline.calls) == 2
    assert [len(call["prompt"]) for call in pipeline.calls] == [1, 1]


def test_a_person_keeps_their_bones_and_moves() -> None:
    person = sample_person(FIRST_PERSON)
    one, again, other = (steering(person, n, planned(person, n)) for n in (3, 3, 4))
    assert one.landmark_image is not None and other.landmark_image is not None
    assert np.array_equal(one.landmark_image, again.landmark_image) and one.prompt == again.prompt  # type: ignore[arg-type]
    assert not np.array_equal(one.landmark_image, other.landmark_image)


def test_poses_fill_their_range_and_the_first_picture_looks_ahead() -> None:
    people = [sample_person(FIRST_PERSON + index) for index in range(40)]
    poses = np.array([planned(person, n).pose for person in people for n in range(1, 8)])
    assert (np.abs(poses) <= TURNS).all() and (np.abs(poses).max(0) > 0.95 * np.array(TURNS)).all()
    assert np.abs(poses.mean(0)).max() < 4
    assert max(abs(planned(person, 0).pose[0]) for person in people) < 6
