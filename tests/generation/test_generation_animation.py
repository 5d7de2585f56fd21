"""A person moved by a film: steady, resumable, and honest about frames without a face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput, MienError
from mien.faces.types import NoFace
from mien.generation.animation import animate, smoothed
from mien.generation.request import GenerateRequest
from mien.media.video import read_frames
from mien.provenance.png import examine
from mien.provenance.record import Record
from tests.fakes import FakePipeline, fake_tools

FRAMES = 11


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), (200, 150, 120)).save(path)
    return path


@pytest.fixture
def driving(tmp_path: Path) -> Path:
    folder = tmp_path / "driving"
    folder.mkdir()
    for number in range(FRAMES):
        Image.new("RGB", (64, 64), (20 * number, 90, 90)).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def pipeline(tmp_path: Path) -> FakePipeline:
    return FakePipeline(tmp_path / "model")


def request(photo: Path, **more: Any) -> GenerateRequest:
    return GenerateRequest.checked(identity=photo, seed=3, steps=2, **more)


def test_every_frame_is_drawn_with_one_noise(
    tmp_path: Path, photo: Path, driving: Path, pipeline: FakePipeline
) -> None:
    film = animate(request(photo), driving, tmp_path / "me.gif", pipeline=pipeline, tools=fake_tools())
    assert len(list(read_frames(film).images)) == FRAMES
    assert not (tmp_path / "me.gif.frames").exists()
    assert [len(call["identity"]) for call in pipeline.calls] == [9, 4]  # each batch begins with the first frame
    for call in pipeline.calls:
        assert call["landmarks"].shape[1:] == (3, 128, 128) and call["expression"].shape[1:] == (3, 96, 96)
        np.testing.assert_array_equal(call["expression"][0], pipeline.calls[0]["expression"][0])
    with Image.open(film) as opened:
        record = Record.parse(opened.info["comment"].decode(), "film")
    assert set(record.inputs) == {"identity", *[f"driving-{number}" for number in range(1, FRAMES + 1)]}
    assert record.settings["animation"] == {"rate": 25.0, "retarget": True}


def test_the_record_of_a_film_keeps_the_words_that_were_read(
    tmp_path: Path, photo: Path, driving: Path, pipeline: FakePipeline
) -> None:
    asked = request(photo, prompt="portrait of a woman " * 20)
    film = animate(asked, driving, tmp_path / "me.gif", pipeline=pipeline, tools=fake_tools())
    read = pipeline.readable_prompt("portrait of a woman " * 20, identity=True)
    assert len(read) < 400 and {words for call in pipeline.calls for words in call["prompt"]} == {read}
    with Image.open(film) as opened:
        assert Record.parse(opened.info["comment"].decode(), "film").settings["prompt"] == read


def test_an_interrupted_film_goes_on(tmp_path: Path, photo: Path, driving: Path, pipeline: FakePipeline) -> None:
    class Interrupted(FakePipeline):
        def __call__(self, **arguments: Any) -> Any:
            if self.calls:
                raise KeyboardInterrupt
            return super().__call__(**arguments)

    film, options = tmp_path / "me.gif", dict[str, Any](tools=fake_tools())
    with pytest.raises(KeyboardInterrupt):
        animate(request(photo), driving, film, pipeline=Interrupted(tmp_path / "model"), **options)
    assert not film.exists() and len(list((tmp_path / "me.gif.frames").glob("*.png"))) == 8
    animate(request(photo), driving, film, pipeline=pipeline, **options)
    assert len(pipeline.calls) == 1  # the rest only
    whole = tmp_path / "whole.gif"
    animate(request(photo), driving, whole, pipeline=FakePipeline(tmp_path / "model"), **options)
    assert whole.read_bytes() == film.read_bytes()


def test_frames_of_another_request_are_not_taken(
    tmp_path: Path, photo: Path, driving: Path, pipeline: FakePipeline
) -> None:
    film = tmp_path / "me.gif"

    class Stops(FakePipeline):
        def __call__(self, **arguments: Any) -> Any:
            if len(self.calls) == 1:
                raise KeyboardInterrupt
            return super().__call__(**arguments)

    with pytest.raises(KeyboardInterrupt):
        animate(request(photo), driving, film, pipeline=Stops(tmp_path / "model"), tools=fake_tools())
    animate(request(photo, emotion="happy"), driving, film, pipeline=pipeline, tools=fake_tools())
    assert len(pipeline.calls) == 2
    own = tmp_path / "other.gif.frames" / "holiday.png"
    own.parent.mkdir()
    own.write_bytes(b"somebody's picture")
    with pytest.raises(BadInput, match="move it away"):
        animate(request(photo), driving, tmp_path / "other.gif", pipeline=pipeline, tools=fake_tools())
    assert own.read_bytes() == b"somebody's picture"


def test_no_input_is_lost(tmp_path: Path, photo: Path, driving: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.generation.tools.FaceTools.load", lambda *words: pytest.fail("models were loaded"))
    film = tmp_path / "film.gif"
    Image.new("RGB", (64, 64)).save(film)
    frames = tmp_path / "other.gif.frames"
    frames.mkdir()
    mine = frames / "00001.png"
    Image.new("RGB", (64, 64)).save(mine)
    frame = (driving / "03.png").rename(driving / "03.gif")
    for person, driven, output in (
        (photo, film, film),
        (film, driving, film),
        (photo, driving, frame),
        (mine, driving, tmp_path / "other.gif"),
        (photo, frames, tmp_path / "other.gif"),
    ):
        with pytest.raises(BadInput, match="is an input"):
            animate(request(person), driven, output)
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(BadInput, match=r"folder\.gif is a folder"):
        animate(request(photo), driving, tmp_path / "folder.gif")
    with pytest.raises(MienError, match="Cannot write to"):
        animate(request(photo), driving, photo / "film.gif")


def test_frames_with_provenance_are_not_kept_without(
    tmp_path: Path, photo: Path, driving: Path, pipeline: FakePipeline
) -> None:
    class Stops(FakePipeline):
        def __call__(self, **arguments: Any) -> Any:
            if len(self.calls) == 1:
                raise KeyboardInterrupt
            return super().__call__(**arguments)

    film = tmp_path / "me.gif"
    with pytest.raises(KeyboardInterrupt):
        animate(request(photo), driving, film, pipeline=Stops(tmp_path / "model"), tools=fake_tools())
    animate(request(photo, provenance=False), driving, film, pipeline=pipeline, tools=fake_tools())
    assert len(pipeline.calls) == 2
    found = examine(film)
    assert (found.record, found.digital_source_type, found.mark) == (None, None, None)


def test_bones_are_fitted_once_and_other_files_are_no_frames(
    tmp_path: Path, photo: Path, driving: Path, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.generation import conditioning as steering

    fitted: list[Any] = []
    framed = steering.framed
    monkeypatch.setattr(steering, "framed", lambda *words: fitted.append(words) or framed(*words))
    (driving / "notes.txt").write_text("shot on Monday")
    film = animate(request(photo), driving, tmp_path / "me.gif", pipeline=pipeline, tools=fake_tools())
    assert len(fitted) == 1
    with Image.open(film) as opened:
        assert len(Record.parse(opened.info["comment"].decode(), "film").inputs) == 1 + FRAMES


def test_frames_without_a_face_keep_the_last(
    tmp_path: Path, photo: Path, driving: Path, pipeline: FakePipeline, caplog: pytest.LogCaptureFixture
) -> None:
    tools = fake_tools()

    def shy(image: Any, source: str) -> Any:
        if source.endswith((", frame 1", ", frame 5", ", frame 10")):
            return NoFace(source)
        return tools.read(image, source)

    animate(request(photo), driving, tmp_path / "me.gif", pipeline=pipeline, tools=replace(tools, read=shy))
    assert "3 frames" in caplog.text  # frames 1, 5 and 10
    rows = np.concatenate([pipeline.calls[0]["expression"][1:], pipeline.calls[1]["expression"][1:]])
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[4], rows[3])

    def blind(image: Any, source: str) -> Any:
        if ", frame " in source:
            return NoFace(source)
        return tools.read(image, source)

    with pytest.raises(BadInput, match="No frame of"):
        animate(request(photo), driving, tmp_path / "no.gif", pipeline=pipeline, tools=replace(tools, read=blind))


def test_the_driving_film_gives_pose_and_expression(
    tmp_path: Path, photo: Path, driving: Path, pipeline: FakePipeline
) -> None:
    for asked in ({"yaw": 20}, {"expression": photo}):
        with pytest.raises(BadInput, match="leave --expression"):
            animate(request(photo, **asked), driving, tmp_path / "me.gif", pipeline=pipeline, tools=fake_tools())
    with pytest.raises(BadInput, match="A video must be called"):
        animate(request(photo), driving, tmp_path / "me.png", pipeline=pipeline, tools=fake_tools())
    assert not pipeline.calls


def test_no_provenance_leaves_nothing(tmp_path: Path, photo: Path, driving: Path, pipeline: FakePipeline) -> None:
    film = animate(
        request(photo, provenance=False), driving, tmp_path / "me.gif", pipeline=pipeline, tools=fake_tools()
    )
    with Image.open(film) as opened:
        assert not opened.info.get("comment")


def test_smoothing_keeps_what_stands_and_calms_what_shakes() -> None:
    still = np.ones((7, 2, 3), np.float32)
    np.testing.assert_allclose(smoothed(still, np.full(5, 0.2)), still, rtol=1e-6)
    shaking = np.tile(np.array([1.0, -1.0], np.float32), 10)[:, None]
    assert np.abs(smoothed(shaking, np.array([0.25, 0.5, 0.25]))[1:-1]).max() < 1e-6
