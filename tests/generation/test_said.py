"""What is said of a request's pictures before anything is drawn."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.captions.compose import describe
from mien.captions.description import with_description
from mien.captions.said import said_of_face, said_of_person
from mien.errors import BadInput
from mien.faces.linear.arkit import BLENDSHAPE_NAMES
from mien.faces.types import Face, OneFace, Reading
from mien.generation.generate import draw_pictures
from mien.generation.request import GenerateRequest
from mien.generation.said import unknown_words
from mien.generation.tools import FULL_SIZE_PROMPT, describe_arc2face, describe_full_size
from tests.fakes import SIZE, FakePipeline, fake_tools, landmarks

WOMAN = {
    "gender": 0.9, "age": 25.0, "hair_color": "ginger", "hair_style": "long straight", "beard": "none",
    "glasses": "none", "background": "teal",
}  # fmt: skip


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (SIZE, SIZE), (200, 150, 120)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def tools(shapes: dict[str, float], pose: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Any:
    """Readers that see a woman's attributes and one expression in every picture."""
    values = np.array([shapes.get(name, 0.0) for name in BLENDSHAPE_NAMES], np.float32)

    def read(image: Any, source: str) -> Reading:
        return OneFace(Face("studio", (24, 24, 104, 104), 0.93, None, landmarks(), values, pose=pose), source)

    fakes = fake_tools()
    return replace(fakes, read=read, embed=lambda seen: (fakes.embed(seen)[0], WOMAN), describe=describe)


def drawn(request: GenerateRequest, tools: Any, folder: Path) -> tuple[list[str], FakePipeline, dict[str, Any]]:
    """What is said, the pipeline with its calls, and the settings of the record."""
    pipeline, said = FakePipeline(folder / "model"), []
    (picture,) = draw_pictures(request, pipeline=pipeline, tools=tools, on_read=said.append)
    assert picture.record is not None
    return said, pipeline, picture.record.settings


def test_person_and_template_are_said(photo: Path, tmp_path: Path) -> None:
    shouting = tools({"jawOpen": 0.65, "browDownLeft": 0.6, "browDownRight": 0.5}, (25.0, 0.0, 0.0))
    request = GenerateRequest.checked(identity=photo, expression=photo, steps=1)
    said, _, settings = drawn(request, shouting, tmp_path)
    assert said == [
        "read as: young woman, long straight ginger hair, no glasses; "
        "template: mouth wide open, brows down, head turned to the right"
    ]
    assert "describe" not in settings


def test_of_a_person_whose_description_is_not_used_nothing_is_said(photo: Path, tmp_path: Path) -> None:
    request = GenerateRequest.checked(identity=photo, prompt="portrait of a man", steps=1)
    assert drawn(request, tools({}), tmp_path)[0] == []


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        ({}, "neutral expression"),
        ({"eyeBlinkLeft": 0.9}, "winking"),
        ({"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.8}, "eyes closed"),
        ({"mouthSmileRight": 0.7}, "smiling on one side"),
        ({"mouthPucker": 0.8, "cheekPuff": 0.5}, "lips pursed, cheeks puffed"),
        ({"jawOpen": 0.3, "noseSneerLeft": 0.5, "noseSneerRight": 0.5}, "mouth open, nose wrinkled"),
    ],
)
def test_strong_blendshapes_have_words(shapes: dict[str, float], told: str) -> None:
    values = dict.fromkeys(BLENDSHAPE_NAMES, 0.0) | shapes
    assert said_of_face(values, (7.0, 0.0, 0.0)) == told
    assert said_of_face(values, (0.0, 0.0, 0.0)) == f"{told}, facing the camera"


def test_a_reader_without_blendshapes_tells_the_pose_alone() -> None:
    assert said_of_face({}, (-30.0, 0.0, 0.0)) == "head turned to the left"
    assert said_of_person({}) == ""


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("", "portrait of a woman in her twenties with long straight ginger hair, teal background"),
        ("short grey hair", "portrait of a woman in her twenties with short grey hair, teal background"),
        ("bald", "portrait of a woman in her twenties with a bald head, teal background"),
        (
            "round glasses and a full beard",
            "portrait of a woman in her twenties with long straight ginger hair, round glasses and a full beard, teal "
            "background",
        ),
        (
            "an old man, no hair, beige background",
            "portrait of a man in his sixties, beige background",
        ),
        (
            "wearing a red hat",
            "portrait of a woman in her twenties with long straight ginger hair, teal background, wearing a red hat",
        ),
    ],
)
def test_a_description_takes_the_place_of_what_was_read(text: str, prompt: str) -> None:
    assert describe(with_description(WOMAN, text)) == prompt


def test_the_description_is_drawn_said_and_recorded(photo: Path, tmp_path: Path) -> None:
    request = GenerateRequest.checked(identity=photo, describe="short grey hair", steps=1)
    said, pipeline, settings = drawn(request, tools({}), tmp_path)
    assert said == ["read as: young woman, no glasses, short grey hair"]
    assert "with short grey hair" in pipeline.calls[0]["prompt"][0] and "ginger" not in pipeline.calls[0]["prompt"][0]
    assert settings["describe"] == "short grey hair"
    again = GenerateRequest.checked(**settings, identity=photo)
    assert again.describe == request.describe


def test_bases_of_full_size_take_a_users_words_or_refuse_them() -> None:
    told = with_description({}, "short grey hair, wearing a hat")
    assert describe_full_size(told) == f"{FULL_SIZE_PROMPT}, short grey hair, wearing a hat"
    assert (describe_full_size({}), describe_arc2face({})) == (FULL_SIZE_PROMPT, "")
    with pytest.raises(BadInput, match="one prompt only"):
        describe_arc2face(told)


@pytest.mark.parametrize("others", [{}, {"prompt": "a man"}, {"yaw": 5.0}])
def test_a_description_needs_a_person_and_no_prompt(others: dict[str, Any], photo: Path) -> None:
    given = {"identity": photo} if "prompt" in others else {"emotion": "happy"}
    with pytest.raises(BadInput, match="description"):
        GenerateRequest.checked(describe="grey hair", **given, **others)


def test_what_the_base_has_not_learned_is_one_note(photo: Path, tmp_path: Path) -> None:
    request = GenerateRequest.checked(identity=photo, prompt="cyberpunk woman", yaw=60, pitch=-10, steps=1)
    pipeline = FakePipeline(tmp_path / "model")
    pipeline.tokenizer = SimpleNamespace(tokenize=lambda word: list(word) if word == "cyberpunk" else [word])
    with pytest.warns(UserWarning, match=r"words cyberpunk,.* about 35 degrees.*: yaw 60$") as notes:
        list(draw_pictures(request, pipeline=pipeline, tools=tools({})))
    assert len(notes) == 1


def test_what_it_has_learned_is_no_note(photo: Path, tmp_path: Path) -> None:
    request = GenerateRequest.checked(identity=photo, prompt="portrait of a woman", yaw=35, steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(draw_pictures(request, pipeline=FakePipeline(tmp_path / "model"), tools=tools({})))


def test_the_embedded_tokenizer_knows_every_word_of_the_captions() -> None:
    from transformers import AutoTokenizer

    from mien.assets import embedded

    tokenizer = AutoTokenizer.from_pretrained(embedded("studio") / "tokenizer")
    assert unknown_words(tokenizer, describe({**WOMAN, "hair_style": "box braids", "beard": "goatee"})) == []
    assert unknown_words(tokenizer, "an Astronaut smiling, with dragon, dragon") == ["astronaut", "dragon"]
