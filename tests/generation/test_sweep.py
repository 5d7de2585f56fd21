"""Sweeps: what the stops are, one seed for all, what is kept, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.conditions import Emotion
from mien.errors import BadInput, MienError
from mien.generation.request import GenerateRequest
from mien.generation.sweep import angle_stops, between, blendshape_stops, emotion_stops, grid_stops, sweep
from mien.provenance.png import examine, read_record
from tests.fakes import SIZE, FakePipeline, fake_tools


def test_a_path_of_feelings_is_straight_and_ends_where_it_should() -> None:
    stops = emotion_stops("happy..angry", 5)
    feelings = [Emotion.parse(stop.changes["emotion"]) for stop in stops]
    assert (feelings[0].label, feelings[-1].label) == ("happy", "anger")
    steps = np.diff([feeling.vector() for feeling in feelings], axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-3)
    assert len(emotion_stops("neutral..sad", 3)) == 3
    with pytest.raises(BadInput, match="no emotion called 'hungry'"):
        emotion_stops("happy..hungry", 3)


def test_a_grid_holds_the_whole_plane() -> None:
    stops = grid_stops(3)
    places = [Emotion.parse(stop.changes["emotion"]) for stop in stops]
    assert len(stops) == 9 and (places[0].valence, places[0].arousal) == (-0.8, 0.8)
    assert places[4].label == "neutral" and (places[8].valence, places[8].arousal) == (0.8, -0.8)
    assert Emotion.at(0.85, 0.45).label == "happy" and Emotion.at(-1, -1).label == "sad"


def test_numbers_and_blendshapes() -> None:
    assert between("-40..40", 3) == [-40, 0, 40]
    assert [stop.changes for stop in angle_stops("yaw", "0..10", 2)] == [{"yaw": 0.0}, {"yaw": 10.0}]
    assert blendshape_stops("jawOpen=0..0.5", 2)[1].changes == {"blendshapes": {"jawOpen": 0.5}}
    for text in ("5", "a..b", "..", "1.."):
        with pytest.raises(BadInput, match=r"FROM\.\.TO"):
            between(text, 3)


def test_one_seed_one_row_and_a_second_run_draws_only_what_changed(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (SIZE, SIZE), (200, 150, 120)).save(photo)
    request = GenerateRequest.checked(identity=photo, seed=5, steps=2, output=tmp_path / "row")
    pipeline, told = FakePipeline(tmp_path / "base"), []
    tools = fake_tools()
    files = sweep(request, angle_stops("yaw", "-20..20", 3), pipeline=pipeline, tools=tools, progress=told.append)
    assert [file.name for file in files] == ["sweep.png", "01.png", "02.png", "03.png"] and told == [1, 1, 1]
    assert {read_record(file).settings["seed"] for file in files} == {5}
    assert [read_record(file).settings["yaw"] for file in files[1:]] == [-20.0, 0.0, 20.0]
    with Image.open(files[0]) as row:
        assert row.width > 3 * SIZE and row.height > SIZE
    drawn = len(pipeline.calls)
    sweep(request, angle_stops("yaw", "-20..0", 3), pipeline=pipeline, tools=tools)
    assert len(pipeline.calls) == drawn + 2  # -20 is there; -10 and 0 are not at these places
    assert sorted(path.name for path in (tmp_path / "row").iterdir()) == ["01.png", "02.png", "03.png", "sweep.png"]


def test_a_prompt_that_is_too_long_does_not_have_all_drawn_again(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (SIZE, SIZE), (200, 150, 120)).save(photo)
    words = "portrait of a woman " * 20
    pipeline, tools = FakePipeline(tmp_path / "base"), fake_tools()
    for named in ({"identity": photo}, {}):
        request = GenerateRequest.checked(prompt=words, steps=1, output=tmp_path / f"row{len(named)}", **named)
        files = sweep(request, angle_stops("yaw", "-20..20", 2), pipeline=pipeline, tools=tools)
        read = pipeline.readable_prompt(words, identity=bool(named))
        assert [read_record(file).settings["prompt"] for file in files] == [read] * 3
        drawn = len(pipeline.calls)
        sweep(request, angle_stops("yaw", "-20..20", 2), pipeline=pipeline, tools=tools)
        assert len(pipeline.calls) == drawn
        sweep(
            request.model_copy(update={"prompt": words[20:160]}),
            angle_stops("yaw", "0..9", 1),
            pipeline=pipeline,
            tools=tools,
        )  # a beginning of the words is another picture
        assert len(pipeline.calls) == drawn + 1


def test_pictures_with_provenance_are_not_kept_without(tmp_path: Path) -> None:
    """And the other way round."""
    photo = tmp_path / "photo.png"
    Image.new("RGB", (SIZE, SIZE), (200, 150, 120)).save(photo)
    request = GenerateRequest.checked(identity=photo, steps=1, output=tmp_path / "row")
    options = {"pipeline": FakePipeline(tmp_path / "base"), "tools": fake_tools()}
    for wanted in (True, False, True):
        files = sweep(request.model_copy(update={"provenance": wanted}), angle_stops("yaw", "0..9", 2), **options)
        found = [(one.record is not None, one.mark is not None) for one in map(examine, files)]
        assert found == [(wanted, wanted)] * 3


def test_no_input_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.generation.tools.FaceTools.load", lambda *words: pytest.fail("models were loaded"))
    for name in ("02.png", "sweep.png"):
        photo = tmp_path / name
        Image.new("RGB", (SIZE, SIZE), (200, 150, 120)).save(photo)
        with pytest.raises(BadInput, match="is an input"):
            sweep(GenerateRequest.checked(identity=photo, output=tmp_path), angle_stops("yaw", "0..9", 2))
    request = GenerateRequest.checked(prompt="portrait", output=photo)
    with pytest.raises(MienError, match=r"sweep\.png is the name of a file"):
        sweep(request, angle_stops("yaw", "0..9", 2))


def test_wrong_values_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    request = GenerateRequest.checked(prompt="portrait", output=tmp_path / "row")
    with pytest.raises(BadInput, match="yaw"):
        sweep(request, angle_stops("yaw", "0..500", 2))
    assert not (tmp_path / "row").exists()
