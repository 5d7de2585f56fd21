"""Changing the face of a portrait: conditions come from it, and all but its face stays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput
from mien.generation.conditioning import open_inputs
from mien.generation.editing import Canvas, build_edit_inputs
from mien.generation.generate import generate
from mien.generation.repeat import repeat
from mien.generation.request import GenerateRequest
from mien.provenance.declaration import DIGITAL_SOURCE_TYPE, EDITED_SOURCE_TYPE
from mien.provenance.png import examine, read_record
from tests.fakes import SIZE, FakePipeline, fake_tools, landmarks

EVERY = frozenset({"landmarks", "expression", "emotion", "identity"})


def portrait(path: Path, side: int, seed: int = 0) -> Path:
    """Soft colours, so that a bilinear way there and back would show."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return portrait(tmp_path / "other.png", SIZE, 1)


def canvas_of(request: GenerateRequest, kinds: frozenset[str] = EVERY) -> tuple[Any, Canvas]:
    return build_edit_inputs(request, open_inputs(request), fake_tools(), SIZE, kinds)


@pytest.mark.parametrize("side", [SIZE, 200, 640])
def test_all_but_the_face_stays(side: int, other: Path, tmp_path: Path) -> None:
    own = portrait(tmp_path / "own.png", side)
    pipeline = FakePipeline(tmp_path / "model")
    request = GenerateRequest(edit=own, expression=other, steps=2, provenance=False, output=tmp_path / "out")
    (file,) = generate(request, pipeline=pipeline, tools=fake_tools())
    before, after = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (own, file))
    assert before.shape == after.shape
    changed = np.abs(before - after).max(-1) > 0
    points = landmarks()
    x, y = points[[1, 13, 33, 263], :2].round().astype(int).T  # nose, mouth, eyes: where the fake reader sees them
    assert changed[y, x].all()
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    reach = 0.25 * (high - low)
    outside = np.ones((side, side), bool)
    (left, top), (right, bottom) = (low - reach).astype(int), (high + reach).astype(int)
    outside[max(top, 0) : bottom, max(left, 0) : right] = False
    assert outside.sum() > 0.2 * side**2 and not changed[outside].any()


@pytest.mark.parametrize("side", [SIZE, 200])
@pytest.mark.parametrize("provenance", [True, False])
def test_transparency_stays(side: int, provenance: bool, other: Path, tmp_path: Path) -> None:
    own = portrait(tmp_path / "own.png", side)
    picture = Image.open(own).convert("RGBA")
    picture.paste((10, 20, 30, 0), (0, 0, side, side // 8))
    picture.paste((10, 20, 30, 128), (0, side // 8, side, side // 6))
    picture.save(own)
    request = GenerateRequest(edit=own, expression=other, steps=2, provenance=provenance, output=tmp_path / "out")
    (file,) = generate(request, pipeline=FakePipeline(tmp_path / "model"), tools=fake_tools())
    with Image.open(file) as opened:
        assert opened.mode == "RGBA"
        after = np.asarray(opened).astype(int)
    assert np.array_equal(after[..., 3], np.asarray(picture)[..., 3])
    difference = np.abs(after[: side // 6, :8, :3] - np.asarray(picture)[: side // 6, :8, :3])
    assert difference.max() <= (24 if provenance else 0)  # the colours behind the transparency, with the mark


@pytest.mark.parametrize("provenance", [True, False])
def test_transparency_is_white_in_a_jpeg(provenance: bool, other: Path, tmp_path: Path) -> None:
    own = portrait(tmp_path / "own.png", SIZE)
    picture = Image.open(own).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, SIZE, 32))
    picture.save(own)
    request = GenerateRequest(edit=own, expression=other, steps=2, provenance=provenance, output=tmp_path / "a.jpg")
    with pytest.warns(UserWarning, match="JPEG holds no transparency"):
        (file,) = generate(request, pipeline=FakePipeline(tmp_path / "model"), tools=fake_tools())
    with Image.open(file) as opened:
        assert np.asarray(opened)[:24].mean() > 245


def test_what_the_pipeline_is_told(other: Path, tmp_path: Path) -> None:
    own = portrait(tmp_path / "own.png", SIZE)
    pipeline = FakePipeline(tmp_path / "model")
    steps: list[int] = []
    request = GenerateRequest(edit=own, expression=other, strength=0.6, steps=5, output=tmp_path / "out")
    assert request.steps_run == 3
    generate(request, pipeline=pipeline, tools=fake_tools(), progress=lambda picture, step: steps.append(step))
    (call,) = pipeline.calls
    assert call["strength"] == 0.6
    assert call["image"].shape == (1, 3, SIZE, SIZE) and call["region"].shape == (1, SIZE, SIZE)
    np.testing.assert_array_equal(
        ((call["image"][0].permute(1, 2, 0).numpy() + 1) * 127.5).round(), np.asarray(Image.open(own).convert("RGB"))
    )
    region = call["region"][0].numpy()
    x, y = landmarks()[:, :2].round().astype(int).T
    assert region[y, x].all() and not region[0].any() and not region[:, 0].any()
    assert set(call) >= {"identity", "landmarks", "expression"}


def test_what_nobody_says_comes_from_the_portrait(other: Path, tmp_path: Path) -> None:
    own = portrait(tmp_path / "own.png", SIZE)
    steering, canvas = canvas_of(GenerateRequest(edit=own, expression=other))
    assert canvas.matrix is None, "its face is where the base draws one"
    assert sorted(steering.seen) == ["edit", "expression", "identity", "pose"]
    assert steering.seen["expression"].image.tobytes() == Image.open(other).convert("RGB").tobytes()
    assert steering.seen["identity"].image is steering.seen["pose"].image is steering.seen["edit"].image
    steering, _ = canvas_of(GenerateRequest(edit=own, emotion="happy:0.9"))
    assert "expression" not in steering.seen
    steering, _ = canvas_of(GenerateRequest(edit=own, blendshapes={"jawOpen": 0.6}))
    assert steering.seen["expression"].image is steering.seen["edit"].image, "the rest of the face goes on as it is"
    steering, _ = canvas_of(GenerateRequest(edit=own, expression=other, identity=other))
    assert steering.seen["identity"].image is not steering.seen["edit"].image
    steering, _ = canvas_of(GenerateRequest(edit=own, expression=other), EVERY - {"landmarks"})
    assert steering.landmarks is None and steering.expression is not None


def test_landmarks_lie_on_the_portraits_face(tmp_path: Path) -> None:
    own = portrait(tmp_path / "own.png", 640)  # the fake reader sees a face of 80 px near a corner
    steering, canvas = canvas_of(GenerateRequest(edit=own, emotion="neutral"))
    assert canvas.matrix is not None and canvas.square.size == (SIZE, SIZE)
    from mien.faces.alignment import STABLE, studio_crop

    _, place, _ = studio_crop(Image.open(own).convert("RGB"), landmarks(), SIZE)
    distance = np.linalg.norm(steering.landmarks[list(STABLE), :2] - place[list(STABLE), :2], axis=1)
    assert distance.mean() < 3.0
    assert steering.landmark_image.shape == (SIZE, SIZE, 3)


def test_the_record_of_an_edit(other: Path, tmp_path: Path) -> None:
    own = portrait(tmp_path / "own.png", SIZE)
    pipeline = FakePipeline(tmp_path / "model")
    request = GenerateRequest(edit=own, expression=other, strength=0.5, steps=2, output=tmp_path / "out")
    (file,) = generate(request, pipeline=pipeline, tools=fake_tools())
    record = read_record(file)
    assert set(record.inputs) == {"edit", "expression"}
    assert record.settings["strength"] == 0.5
    assert examine(file).digital_source_type == EDITED_SOURCE_TYPE
    inputs: dict[str, Path | None] = {"edit": own, "expression": other}
    (again,) = repeat(file, inputs, tmp_path / "again", pipeline=pipeline, tools=fake_tools())
    assert again.read_bytes() == file.read_bytes()
    with pytest.raises(BadInput, match="was made with --edit"):
        repeat(file, {"expression": other}, tmp_path / "again", pipeline=pipeline, tools=fake_tools())
    plain = GenerateRequest(identity=own, steps=2, output=tmp_path / "plain")
    (file,) = generate(plain, pipeline=pipeline, tools=fake_tools())
    assert "strength" not in read_record(file).settings
    assert examine(file).digital_source_type == DIGITAL_SOURCE_TYPE


def test_what_is_no_edit_is_refused(tmp_path: Path) -> None:
    own = portrait(tmp_path / "own.png", SIZE)
    with pytest.raises(BadInput, match="Nothing to change"):
        GenerateRequest.checked(edit=own)
    with pytest.raises(BadInput, match="give the portrait as edit"):
        GenerateRequest.checked(identity=own, strength=0.5)
    for strength in (0.0, 1.1):
        with pytest.raises(BadInput, match="strength"):
            GenerateRequest.checked(edit=own, emotion="happy", strength=strength)
