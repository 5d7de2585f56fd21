"""`mien.generate`, `mien.load` and `mien.save` as people call them, mostly on fake networks."""

from __future__ import annotations

import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import mien
from mien.errors import BadInput, MienError
from mien.generation.generate import generate as generate_files
from mien.generation.reading import PictureReader, batch_rows
from mien.generation.repeat import repeat
from mien.generation.request import GenerateRequest
from mien.provenance.png import examine
from tests.fakes import FakePipeline, fake_tools


class FakeReader(PictureReader):
    """A reader with fake networks."""

    @cached_property
    def tools(self) -> Any:
        return fake_tools()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "me.png"
    pixels = np.random.default_rng(0).integers(0, (80, 160, 255), (80, 64, 3), np.uint8)
    Image.fromarray(pixels).save(file)
    return file


@pytest.fixture
def pipeline(tmp_path: Path) -> FakePipeline:
    found = FakePipeline(tmp_path / "base")
    found.reader = FakeReader("studio")
    return found


def pixels(images: list[Image.Image]) -> list[bytes]:
    return [image.tobytes() for image in images]


def test_a_picture_in_any_form_is_the_same_picture(photo: Path, pipeline: FakePipeline) -> None:
    image = Image.open(photo)
    array = np.asarray(image)
    forms = [
        str(photo),
        photo,
        image,
        array,
        torch.from_numpy(array.copy()),
        torch.from_numpy(array.copy()).permute(2, 0, 1),
    ]
    forms += [array / 255.0, torch.from_numpy(array / 127.5 - 1).permute(2, 0, 1)[None]]
    drawn = [mien.generate(identity=form, steps=1, pipeline=pipeline) for form in forms]
    assert all(pixels(one) == pixels(drawn[0]) for one in drawn)
    assert drawn[0][0].mode == "RGB"
    embedded = [call["identity"] for call in pipeline.calls]  # of the colours' means: another order would show
    assert all(torch.equal(one, embedded[0]) for one in embedded)
    mien.generate(identity=array[..., ::-1], steps=1, pipeline=pipeline)
    assert not torch.allclose(pipeline.calls[-1]["identity"], embedded[0], atol=1e-3)


def test_what_is_saved_is_what_the_command_line_writes(tmp_path: Path, photo: Path, pipeline: FakePipeline) -> None:
    request = GenerateRequest(identity=photo, yaw=20, count=2, seed=3, steps=1, speed="fast", output=tmp_path / "a")
    files = generate_files(request, pipeline=pipeline, tools=fake_tools())
    images = mien.generate(identity=photo, yaw=20, n=2, seed=3, steps=1, pipeline=pipeline)
    for image, file in zip(images, files, strict=True):
        assert mien.save(image, tmp_path / "own.png").read_bytes() == file.read_bytes()
    (plain,) = mien.generate(identity=photo, steps=1, pipeline=pipeline, provenance=False)
    found = examine(mien.save(plain, tmp_path / "plain.png"))
    assert (found.record, found.mark) == (None, None)
    with pytest.raises(BadInput, match=r"must end with \.png"):
        mien.save(plain, tmp_path / "plain.bmp")


def test_an_array_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not ndarray"):
        mien.save(np.zeros((64, 64, 3), np.uint8), tmp_path / "a.png")  # type: ignore[arg-type]


def test_a_picture_in_memory_is_recorded_by_its_pixels_and_repeats(
    tmp_path: Path, photo: Path, pipeline: FakePipeline
) -> None:
    (image,) = mien.generate(identity=Image.open(photo), steps=1, pipeline=pipeline)
    file = mien.save(image, tmp_path / "made.png")
    options: dict[str, Any] = {"pipeline": pipeline, "tools": fake_tools()}
    (again,) = repeat(file, {"identity": photo}, tmp_path / "again", **options)
    assert again.read_bytes() == file.read_bytes()
    Image.open(photo).rotate(180).save(tmp_path / "other.png")
    with pytest.raises(BadInput, match="not the identity picture"):
        repeat(file, {"identity": tmp_path / "other.png"}, tmp_path / "again", **options)


def test_each_row_of_a_batch_is_what_it_is_alone(photo: Path, pipeline: FakePipeline) -> None:
    other = Image.open(photo).rotate(90)
    together = mien.generate(identity=[photo, other], yaw=10, n=2, seed=1, steps=1, pipeline=pipeline)
    alone = [mien.generate(identity=one, yaw=10, n=2, seed=1, steps=1, pipeline=pipeline) for one in (photo, other)]
    assert pixels(together) == pixels(alone[0]) + pixels(alone[1])
    turned = mien.generate(identity=photo, yaw=[-20, 20], seed=[4, 5], steps=1, pipeline=pipeline)
    assert pixels(turned[1:]) == pixels(mien.generate(identity=photo, yaw=20, seed=5, steps=1, pipeline=pipeline))
    seen: list[tuple[int, int]] = []
    mien.generate(
        identity=[photo, other], n=2, steps=1, pipeline=pipeline, progress=lambda i, step: seen.append((i, step))
    )
    assert seen == [(0, 0), (1, 0), (2, 0), (3, 0)]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"identity": ["a.png", "b.png"], "yaw": [1, 2, 3]}, "2 for identity, 3 for yaw"),
        ({"identity": []}, "different lengths"),
        ({"prompt": "a", "n": 0}, "at least 1"),
        ({"prompt": "a", "base": "studio"}, "Give pipeline, or base"),
        ({"emotion": "hapy"}, "no emotion called 'hapy'"),
        ({"identity": np.zeros((4, 4))}, "an array"),
        ({"identity": np.full((64, 64, 3), 7.0)}, "lie in"),
        ({"identity": np.zeros((64, 64, 3), np.uint16)}, "8 bits"),
        ({"identity": object()}, "not object"),
        ({"identity": b"a file"}, r"Image\.open\(io\.BytesIO"),
        ({"identity": "https://example.com/me.jpg"}, "pictures are not fetched"),
        ({"identity": 7}, "not int 7"),
        ({"prompt": "a", "pose": (20, 0, 0)}, r"mien\.Pose\(yaw, pitch, roll\)"),
        ({"emotion": {"happy": 0.5}}, "An emotion is words"),
        ({"identity": "absent.png"}, "no picture file"),
        ({}, "Nothing to draw"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(pipeline: FakePipeline, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(MienError, match=message) as error:
        mien.generate(steps=1, pipeline=pipeline, **asked)
    assert "\n" not in str(error.value)
    assert pipeline.calls == []


def test_a_pose_is_its_three_angles_and_an_emotion_its_vector(photo: Path, pipeline: FakePipeline) -> None:
    posed = mien.generate(identity=photo, pose=mien.Pose(yaw=20), steps=1, pipeline=pipeline)
    turned = mien.generate(identity=photo, yaw=20, pitch=0, roll=0, steps=1, pipeline=pipeline)
    assert pixels(posed) == pixels(turned)
    by_name = mien.generate(emotion="happy:0.5", steps=1, pipeline=pipeline)
    by_type = mien.generate(emotion=mien.Emotion.of("happy", 0.5), steps=1, pipeline=pipeline)
    assert pixels(by_name) == pixels(by_type)


def test_an_emotion_of_ones_own_is_recorded_and_repeats(tmp_path: Path, pipeline: FakePipeline) -> None:
    odd = mien.Emotion((0.5, 0.5, 0, 0, 0, 0, 0, 0), -0.3, 0.9)
    (image,) = mien.generate(emotion=odd, steps=1, pipeline=pipeline)
    file = mien.save(image, tmp_path / "made.png")
    (again,) = repeat(file, {}, tmp_path / "again", pipeline=pipeline, tools=fake_tools())
    assert again.read_bytes() == file.read_bytes()


def test_a_pipeline_without_readers_says_where_they_come_from(pipeline: FakePipeline) -> None:
    pipeline.reader = None
    with pytest.raises(BadInput, match=r"load it with mien\.load"):
        mien.generate(prompt="a person", pipeline=pipeline)


def test_rows_of_lists_of_one() -> None:
    assert batch_rows({"a": [1], "b": [1, 2], "c": 3}) == [{"a": 1, "b": 1, "c": 3}, {"a": 1, "b": 2, "c": 3}]


def test_a_second_call_does_not_load_again(photo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mien.generation import api

    loaded: list[str] = []

    def load(base: str, **options: Any) -> Any:
        loaded.append(base)
        found = FakePipeline(tmp_path / "base")
        found.reader = FakeReader(base)
        found.set_progress_bar_config = lambda **_: None
        return found

    monkeypatch.setattr(api, "load", load)
    api._last_used.cache_clear()
    for base in (None, "studio", str(tmp_path), str(tmp_path), None):
        mien.generate(identity=photo, steps=1, base=base)
    api._last_used.cache_clear()
    assert loaded == ["studio", str(tmp_path), "studio"]


def test_options_of_load() -> None:
    with pytest.raises(BadInput, match="torch_dtype is"):
        mien.load("studio", torch_dtype=torch.int8)
    with pytest.raises(BadInput, match="device"):
        mien.load("studio", device="tpu")  # pyright: ignore[reportArgumentType]
    with pytest.raises(mien.MienError, match="no base 'nothing'"):
        mien.load("nothing")


FIVE_LINES = """
import mien
images = mien.generate(identity="me.jpg", expression="friend.jpg", yaw=20, emotion="happy", n=2, seed=1, steps=2)
pipe = mien.load("studio", device="cpu")
pipe.set_progress_bar_config(disable=True)
out = pipe(identity="me.jpg", pose=mien.Pose(yaw=20), emotion="happy", num_inference_steps=2)
face = mien.read("me.jpg")
report = mien.score(reference="me.jpg", generated=images[0])
print(len(images), out.images[0].size, face.landmarks.shape, report["pairs"])
"""


def test_a_fresh_interpreter_prints_nothing_but_what_is_asked(tmp_path: Path) -> None:
    """No file is written and no library warns, in the words of a new user's script."""
    examples = Path(mien.__file__).parent / "assets" / "examples"
    for name, source in {"me.jpg": "person-Ada.png", "friend.jpg": "template-laugh.png"}.items():
        Image.open(examples / source).convert("RGB").save(tmp_path / name, quality=95)
    before = sorted(tmp_path.iterdir())
    done = subprocess.run([sys.executable, "-c", FIVE_LINES], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "2 (256, 256) (478, 3) 1"), done.stderr
    # MediaPipe's C++ code writes notes to the error stream of its own; Python's libraries must not
    assert not [line for line in done.stderr.splitlines() if "arning" in line or "torchvision" in line]
    assert sorted(tmp_path.iterdir()) == before
