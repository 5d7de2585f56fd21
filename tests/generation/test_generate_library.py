from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput, MienError
from mien.faces.observed import DetectedFace
from mien.generation.generate import generate
from mien.generation.repeat import repeat
from mien.generation.request import GenerateRequest, weighted_pictures
from mien.provenance.png import examine, read_record
from mien.provenance.verdict import verify
from tests.fakes import FakePipeline, fake_tools


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (80, 64, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def pipeline(tmp_path: Path) -> FakePipeline:
    return FakePipeline(tmp_path / "model")


def test_a_request_refuses_what_it_does_not_know(photo: Path) -> None:
    for bad in (
        {"sed": 1},
        {"yaw": 91},
        {"count": 0},
        {"scales": {"landmark": 1}},
        {"blendshapes": {"jawOpen": 2}},
        {"speed": "faster"},
    ):
        with pytest.raises(BadInput):
            GenerateRequest.checked(identity=photo, **bad)
    with pytest.raises(BadInput, match="Nothing to draw"):
        GenerateRequest.checked()


def test_a_seed_beyond_32_bits_is_a_seed_of_its_own(tmp_path: Path, photo: Path, pipeline: FakePipeline) -> None:
    pictures = []
    for seed in (5, 2**32 + 5):
        request = GenerateRequest(identity=photo, seed=seed, steps=2, provenance=False, output=tmp_path)
        pictures.append(np.asarray(Image.open(generate(request, pipeline=pipeline, tools=fake_tools())[0])))
    assert not np.array_equal(*pictures)


def test_one_file_a_seed_whatever_the_count(tmp_path: Path, photo: Path, pipeline: FakePipeline) -> None:
    four = GenerateRequest(identity=photo, count=4, seed=5, steps=2, output=tmp_path / "four")
    files = generate(four, pipeline=pipeline, tools=fake_tools())
    assert [file.name for file in files] == [f"portrait-{seed:04d}.png" for seed in (5, 6, 7, 8)]
    one = GenerateRequest(identity=photo, seed=7, steps=2, output=tmp_path / "one")
    (single,) = generate(one, pipeline=pipeline, tools=fake_tools())
    mark_free = [np.asarray(Image.open(file)).astype(int) for file in (files[2], single)]
    assert np.abs(mark_free[0] - mark_free[1]).max() <= 20  # two watermarks of up to 10 each
    assert read_record(files[2]).index == 2


@pytest.mark.parametrize(("form", "ending"), [("jpeg", ".jpg"), ("webp", ".webp"), ("png", ".png")])
def test_every_format_has_its_record_and_is_repeated_in_it(
    form: Any, ending: str, tmp_path: Path, photo: Path, pipeline: FakePipeline, recwarn: pytest.WarningsRecorder
) -> None:
    shared = {"identity": photo, "steps": 1, "seed": 7}
    folder = GenerateRequest(**shared, format=form, output=tmp_path / "folder")
    named = GenerateRequest(**shared, output=tmp_path / f"me{ending}")
    drawn = [generate(one, pipeline=pipeline, tools=fake_tools())[0] for one in (folder, named)]
    assert drawn == [tmp_path / "folder" / f"portrait-0007{ending}", tmp_path / f"me{ending}"]
    assert drawn[0].read_bytes() == drawn[1].read_bytes()
    assert verify(drawn[0]).finding == "consistent"
    with Image.open(drawn[0]) as picture:
        assert picture.format == form.upper()
    (again,) = repeat(drawn[0], {"identity": photo}, tmp_path / "again", pipeline=pipeline, tools=fake_tools())
    assert again.name == f"portrait-0007{ending}" and again.read_bytes() == drawn[0].read_bytes()
    (other,) = repeat(drawn[0], {"identity": photo}, tmp_path / "a.png", pipeline=pipeline, tools=fake_tools())
    assert other == tmp_path / "a.png" and read_record(other) == read_record(drawn[0])
    assert not recwarn.list


def test_several_pictures_of_one_name_have_their_seeds(tmp_path: Path, photo: Path, pipeline: FakePipeline) -> None:
    request = GenerateRequest(identity=photo, count=2, seed=9, steps=1, output=tmp_path / "me.webp")
    files = generate(request, pipeline=pipeline, tools=fake_tools())
    assert [file.name for file in files] == ["me-0009.webp", "me-0010.webp"]


def test_each_condition_reaches_the_pipeline(tmp_path: Path, photo: Path, other: Path, pipeline: FakePipeline) -> None:
    request = GenerateRequest(
        identity=photo, expression=other, emotion="happy:0.8", scales={"landmarks": 0.5}, guidance={"text": 3.0},
        steps=2, speed="fast", output=tmp_path,
    )  # fmt: skip
    (file,) = generate(request, pipeline=pipeline, tools=fake_tools())
    (call,) = pipeline.calls
    assert call["speed"] == read_record(file).settings["speed"] == "fast"
    assert call["prompt"] == ["portrait of a person"]
    assert call["identity"].shape == (1, 512)
    assert call["landmarks"].shape == (1, 3, 128, 128)
    assert -1 <= call["landmarks"].min() < call["landmarks"].max() <= 1
    assert call["expression"].shape == (1, 3, 96, 96)
    assert call["emotion"].shape == (1, 10)
    assert (call["scales"], call["guidance"]) == ({"landmarks": 0.5}, {"text": 3.0})


def test_several_pictures_are_one_person(tmp_path: Path, photo: Path, other: Path, pipeline: FakePipeline) -> None:
    """Embeddings and bones are averaged, the record names every picture, and a repeat wants them all."""
    options: dict[str, Any] = {"pipeline": pipeline, "tools": replace(fake_tools(), embed=embed_by_shade)}
    people = {"identity": photo, "identities": (other,)}
    (file,) = generate(GenerateRequest(**people, weights=(3, 1), steps=1, output=tmp_path / "a"), **options)
    generate(GenerateRequest(identity=photo, steps=1, output=tmp_path / "b"), **options)
    generate(GenerateRequest(identity=other, steps=1, output=tmp_path / "c"), **options)
    mixed, first, second = (call["identity"][0].numpy() for call in pipeline.calls)
    angle = np.arccos(first @ second)
    np.testing.assert_allclose(np.arccos(first @ mixed), angle / 4, rtol=1e-4)
    record = read_record(file)
    assert set(record.inputs) == {"identity", "identity-2"} and record.settings["weights"] == [3, 1]
    (again,) = repeat(file, {"identity": photo, "identity-2": other}, tmp_path / "d", **options)
    assert again.read_bytes() == file.read_bytes()
    with pytest.raises(BadInput, match="made with another --identity"):
        repeat(file, {"identity": photo}, tmp_path / "d", **options)
    with pytest.raises(BadInput, match="2 identity pictures and 1 weights"):
        GenerateRequest.checked(**people, weights=(1,))


def test_a_weight_may_follow_a_path(tmp_path: Path) -> None:
    odd = tmp_path / "a:0.5"
    odd.touch()
    roles, weights = weighted_pictures(["me.jpg:0.7", str(odd), "you:me.png"], "identity")
    assert roles == {"identity": Path("me.jpg"), "identity-2": odd, "identity-3": Path("you:me.png")}
    assert weights == (0.7, 1.0, 1.0)
    assert weighted_pictures(["me.jpg", "me.jpg"], "identity")[1] == ()
    for bad in ("me.jpg:0", "me.jpg:-1", "me.jpg:nan"):
        with pytest.raises(BadInput, match="above 0"):
            weighted_pictures([bad], "identity")


def embed_by_shade(seen: DetectedFace) -> tuple[Any, dict[str, Any]]:
    """Another identity for each picture."""
    rows = np.random.default_rng(int(np.asarray(seen.image).sum())).normal(size=512).astype(np.float32)
    return rows / np.linalg.norm(rows), {}


def test_conditions_that_were_not_asked_for_are_left_out(tmp_path: Path, photo: Path, pipeline: FakePipeline) -> None:
    generate(
        GenerateRequest(identity=photo, prompt="a knight", steps=1, output=tmp_path),
        pipeline=pipeline,
        tools=fake_tools(),
    )
    (call,) = pipeline.calls
    assert call["prompt"] == ["a knight"]
    assert not {"expression", "emotion"} & call.keys()
    assert "landmarks" in call  # a person alone is drawn at rest


def test_the_record_keeps_the_words_that_were_read(tmp_path: Path, photo: Path, pipeline: FakePipeline) -> None:
    words = "portrait of a woman " * 20
    for named in ({"identity": photo}, {}):
        request = GenerateRequest.checked(prompt=words, steps=1, output=tmp_path, **named)
        (file,) = generate(request, pipeline=pipeline, tools=fake_tools())
        read = pipeline.readable_prompt(words, identity=bool(named))
        assert len(read) < len(words) and read_record(file).settings["prompt"] == read
        assert pipeline.calls[-1]["prompt"] == [read]


def test_words_alone_are_all_that_is_asked(tmp_path: Path, pipeline: FakePipeline) -> None:
    generate(GenerateRequest(prompt="a knight", steps=1, output=tmp_path), pipeline=pipeline, tools=fake_tools())
    (call,) = pipeline.calls
    assert not {"landmarks", "identity", "expression", "emotion"} & call.keys()


def test_a_repeat_is_the_same_file(tmp_path: Path, photo: Path, other: Path, pipeline: FakePipeline) -> None:
    request = GenerateRequest(identity=photo, expression=other, yaw=20, count=3, seed=1, steps=2, output=tmp_path / "a")
    files = generate(request, pipeline=pipeline, tools=fake_tools())
    inputs = {"identity": photo, "expression": other, "pose": None}
    (again,) = repeat(files[1], inputs, tmp_path / "b", pipeline=pipeline, tools=fake_tools())
    assert again.read_bytes() == files[1].read_bytes()


def test_a_repeat_names_what_differs(tmp_path: Path, photo: Path, other: Path, pipeline: FakePipeline) -> None:
    options = {"pipeline": pipeline, "tools": fake_tools()}
    (file,) = generate(GenerateRequest(identity=photo, steps=1, output=tmp_path / "a"), **options)
    with pytest.raises(BadInput, match="not the identity picture"):
        repeat(file, {"identity": other}, tmp_path / "b", **options)
    with pytest.raises(BadInput, match="made with --identity"):
        repeat(file, {}, tmp_path / "b", **options)
    with pytest.raises(BadInput, match="without --pose"):
        repeat(file, {"identity": photo, "pose": other}, tmp_path / "b", **options)
    (pipeline.folder / "unet.safetensors").write_bytes(b"other weights")
    with pytest.raises(BadInput, match=r"unet\.safetensors differs"):
        repeat(file, {"identity": photo}, tmp_path / "b", **options)


def test_a_file_says_nothing_of_the_person(tmp_path: Path, photo: Path, pipeline: FakePipeline) -> None:
    named = photo.rename(tmp_path / "erika-mustermann.png")
    (file,) = generate(
        GenerateRequest(identity=named, steps=1, output=tmp_path / "a"), pipeline=pipeline, tools=fake_tools()
    )
    text = read_record(file).text()
    assert "mustermann" not in text
    assert "portrait of a person" not in text  # the description a reader made of the face
    assert "0.0441" not in text  # 1 / sqrt(512): no embedding


def test_no_provenance_leaves_nothing(tmp_path: Path, photo: Path, pipeline: FakePipeline) -> None:
    request = GenerateRequest(identity=photo, steps=1, provenance=False, output=tmp_path / "a")
    (file,) = generate(request, pipeline=pipeline, tools=fake_tools())
    found = examine(file)
    assert (found.record, found.digital_source_type, found.mark) == (None, None, None)


def test_progress_counts_every_step(tmp_path: Path, photo: Path, pipeline: FakePipeline) -> None:
    seen: list[tuple[int, int]] = []
    request = GenerateRequest(identity=photo, count=2, steps=3, output=tmp_path / "a")
    generate(
        request, pipeline=pipeline, tools=fake_tools(), progress=lambda picture, step: seen.append((picture, step))
    )
    assert seen == [(picture, step) for picture in range(2) for step in range(3)]


def test_angles_and_blendshapes_need_no_picture(tmp_path: Path, photo: Path, pipeline: FakePipeline) -> None:
    tools = fake_tools()
    for name, extra in {"yaw": {"yaw": 20}, "jaw": {"blendshapes": {"jawOpen": 0.6}}, "pose": {"pose": photo}}.items():
        generate(
            GenerateRequest(identity=photo, steps=1, output=tmp_path / name, **extra), pipeline=pipeline, tools=tools
        )
    drawn = [call["landmarks"] for call in pipeline.calls]
    assert all(picture.max() > 0 for picture in drawn)
    assert not drawn[0].equal(drawn[1])


def unread(*_: Any, **__: Any) -> Any:
    raise AssertionError("models were loaded")


def test_no_input_is_written_over(tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("load_pipeline", "FaceTools.load"):
        monkeypatch.setattr(f"mien.generation.generate.{name}", unread)
    output = tmp_path / "out"
    output.mkdir()
    mine = photo.rename(output / "portrait-0001.png")
    before = mine.read_bytes()
    (tmp_path / "link").symlink_to(output)
    for role, place in (("edit", output), ("expression", tmp_path / "link"), ("identity", output)):
        request = GenerateRequest.checked(**{role: mine}, emotion="happy", count=2, output=place)
        with pytest.raises(BadInput, match=r"portrait-0001\.png is an input.* with -o"):
            generate(request)
    assert mine.read_bytes() == before


def test_a_repeat_does_not_replace_what_it_repeats(
    tmp_path: Path, photo: Path, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = generate(
        GenerateRequest(identity=photo, seed=2, steps=1, output=tmp_path), pipeline=pipeline, tools=fake_tools()
    )
    before = file.read_bytes()
    monkeypatch.setattr("mien.pipelines.load.load_pipeline", unread)
    with pytest.raises(BadInput, match=r"portrait-0002\.png is an input"):
        repeat(file, {"identity": photo}, tmp_path)
    assert file.read_bytes() == before


def test_a_place_that_cannot_be_written_is_said_before_models_are_loaded(
    tmp_path: Path, photo: Path, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = generate(GenerateRequest(identity=photo, steps=1, output=tmp_path), pipeline=pipeline, tools=fake_tools())
    for name in ("load_pipeline", "FaceTools.load"):
        monkeypatch.setattr(f"mien.generation.generate.{name}", unread)
    for output, message in ((photo, r"photo\.png is an input"), (photo / "deeper", r"Cannot write to .*photo\.png")):
        for draws in (lambda to: generate(GenerateRequest(identity=photo, output=to)),
                      lambda to: repeat(file, {"identity": photo}, to)):  # fmt: skip
            with pytest.raises(MienError, match=message):
                draws(output)
    (tmp_path / "taken" / "portrait-0000.png").mkdir(parents=True)
    with pytest.raises(BadInput, match="is a folder"):
        generate(GenerateRequest(identity=photo, output=tmp_path / "taken"))


def test_added_files_are_read_by_their_bytes(
    tmp_path: Path, photo: Path, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records of files by name, as releases before wrote them, repeat as well; other bytes do not."""
    one, other = tmp_path / "anna-schmidt.safetensors", tmp_path / "other.safetensors"
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    pipeline.parts = {"adapter:anna-schmidt.safetensors": one, "few_step": one, "lora:1": one, "lora:2": other}
    (file,) = generate(
        GenerateRequest(identity=photo, steps=1, output=tmp_path / "a"), pipeline=pipeline, tools=fake_tools()
    )
    options: dict[str, Any] = {"pipeline": pipeline, "tools": fake_tools()}
    pipeline.parts = {"adapter:1": one, "few_step": one, "lora:1": one, "lora:2": other}
    with pytest.warns(UserWarning, match="not bit-equal .* record is of an older kind"):
        repeat(file, {"identity": photo}, tmp_path / "b", **options)
    for parts, option in (
        ({"adapter:1": other, "few_step": one, "lora:1": one, "lora:2": other}, "--adapter"),
        ({"few_step": one, "lora:1": one, "lora:2": other}, "--adapter"),
        ({"adapter:1": one, "lora:1": one, "lora:2": other}, "--adapter"),
        ({"adapter:1": one, "few_step": one, "lora:1": other, "lora:2": one}, "--lora"),
    ):
        pipeline.parts = parts
        with pytest.raises(BadInput, match=f"give the same .*{option}"):
            repeat(file, {"identity": photo}, tmp_path / "c", **options)
