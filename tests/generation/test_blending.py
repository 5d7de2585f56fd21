"""Expressions of several pictures, weaker and stronger, part by part: what the landmarks then show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput
from mien.faces.linear.arkit import BLENDSHAPE_NAMES, KIT_NAMES, PARTS, kit_indices
from mien.faces.linear.face import LinearFace
from mien.faces.linear.fit import fit_face
from mien.faces.types import Face, OneFace
from mien.generation.conditioning import build_inputs, open_inputs
from mien.generation.request import GenerateRequest, input_fields, weighted_pictures
from mien.generation.requests_file import read_lines
from mien.generation.said import read_as
from tests.fakes import SIZE, fake_tools

SHOWN: dict[str, tuple[int, dict[str, float]]] = {
    "me": (10, {}),
    "shout": (60, {"jawOpen": 0.8, "browInnerUp": 0.8}),
    "smile": (110, {"mouthSmile": 0.8}),
    "blink": (160, {"eyeBlink": 0.9}),
}
"""Picture -> its grey, and what the face in it does."""
POSES = {"shout": (15.0, 0.0, 0.0), "smile": (-15.0, 0.0, 0.0)}


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    for name, (grey, _) in SHOWN.items():
        Image.new("RGB", (SIZE, SIZE), (grey,) * 3).save(tmp_path / f"{name}.png")
    return {name: tmp_path / f"{name}.png" for name in SHOWN}


def read(image: Image.Image, source: str) -> OneFace:
    name = next(name for name, (grey, _) in SHOWN.items() if grey == image.convert("RGB").getpixel((0, 0))[0])  # type: ignore[index]
    coefficients = np.zeros(len(KIT_NAMES))
    for blendshape, value in SHOWN[name][1].items():
        coefficients[list(kit_indices(blendshape))] = value
    points = LinearFace.load().landmarks(coefficients, pose=POSES.get(name, (0.0, 0.0, 0.0)), size=SIZE)
    return OneFace(Face("studio", (24, 24, 104, 104), landmarks=points), source)


def drawn(**asked: Any) -> Any:
    """What the landmarks show that a request leads to."""
    request = GenerateRequest.checked(output=Path("out"), **asked)
    tools = replace(fake_tools(), read=read)
    return fit_face(build_inputs(request, open_inputs(request), tools, SIZE, frozenset({"landmarks"})).landmarks)  # type: ignore[arg-type]


def of(fit: Any, name: str) -> float:
    return float(np.mean(fit.coefficients[list(kit_indices(name))]))


def test_an_expression_is_weakened_and_exaggerated(pictures: dict[str, Path]) -> None:
    asked: dict[str, Any] = {"identity": pictures["me"], "expression": pictures["smile"]}
    rest, half, whole, more = (of(drawn(**asked, expression_strength=s), "mouthSmile") for s in (0, 0.5, 1.001, 1.3))
    assert rest < 0.1 and rest + 0.2 < half < whole - 0.2 and more > whole + 0.05
    assert of(drawn(**asked, expression_strength=2.0), "mouthSmile") < 1.1, "no further than the linear face goes"


def test_expressions_are_blended_by_their_weights(pictures: dict[str, Path]) -> None:
    asked: dict[str, Any] = {
        "identity": pictures["me"], "expression": pictures["shout"], "expressions": (pictures["smile"],),
    }  # fmt: skip
    both = drawn(**asked)
    assert 0.25 < of(both, "jawOpen") < 0.55 and 0.2 < of(both, "mouthSmile") < 0.6
    mostly = drawn(**asked, expression_weights=(3.0, 1.0))
    assert of(mostly, "jawOpen") > of(both, "jawOpen") + 0.1 and of(mostly, "mouthSmile") < of(both, "mouthSmile") - 0.1
    assert both.pose[0] == pytest.approx(15, abs=2), "the pose is that of the first"


def test_each_part_of_the_face_may_come_from_its_own_picture(pictures: dict[str, Path]) -> None:
    asked: dict[str, Any] = {"identity": pictures["me"], "expression": pictures["shout"]}
    plain, mouth, eyes, brows = (
        drawn(**asked, **parts)
        for parts in ({}, {"mouth": pictures["smile"]}, {"eyes": pictures["blink"]}, {"brows": pictures["me"]})
    )
    assert of(mouth, "jawOpen") < 0.15 < 0.5 < of(mouth, "mouthSmile")
    assert of(mouth, "browInnerUp") == pytest.approx(of(plain, "browInnerUp"), abs=0.15)
    assert of(eyes, "eyeBlink") > 0.6 > of(plain, "eyeBlink") + 0.3
    assert of(eyes, "jawOpen") == pytest.approx(of(plain, "jawOpen"), abs=0.1)
    assert of(brows, "browInnerUp") < of(plain, "browInnerUp") - 0.3
    alone = drawn(identity=pictures["me"], mouth=pictures["smile"])
    assert of(alone, "mouthSmile") > 0.5 and of(alone, "browInnerUp") < 0.2, "the rest is at rest"


def test_the_parts_are_the_whole_face() -> None:
    assert sorted(index for part in PARTS.values() for index in part) == list(range(len(KIT_NAMES)))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"expressions": ("b.png",)}, "need a first one: give it as expression"),
        ({"expression": "a.png", "expression_weights": (1.0, 2.0)}, "There are 1 expression pictures and 2 weights"),
        ({"expression_strength": 0.5}, "is that of an expression picture: give one"),
        ({"expression": "a.png", "expression_strength": 2.5}, "less than or equal to 2"),
        ({"expression_by": "both"}, "is asked of an expression picture: give one"),
        ({"expression": "a.png", "expression_by": "crop"}, "should be 'landmarks', 'picture' or 'both', not 'crop'"),
        ({"expression": "a.png", "expression_by": "picture", "yaw": 9.0}, "act through landmarks"),
        ({"expression": "a.png", "expression_by": "picture", "expression_strength": 0.5}, "act through landmarks"),
        ({"expression": "a.png", "expression_by": "both", "scales": {"expression": 0.5}}, "scale of expression itself"),
    ],
)
def test_what_makes_no_expression_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        GenerateRequest.checked(identity="me.png", **asked)


def test_a_record_keeps_what_was_asked_and_those_of_before_stay_as_they_were(pictures: dict[str, Path]) -> None:
    plain = GenerateRequest.checked(identity=pictures["me"], expression=pictures["smile"])
    assert not {key for key in plain.settings() if key.startswith("expression")} and not plain.builds_landmarks
    templates, weights = weighted_pictures([f"{pictures['shout']}:2", str(pictures["smile"])], "expression")
    inputs = {**templates, "mouth": pictures["blink"]}
    request = GenerateRequest.checked(**input_fields(inputs), expression_weights=weights, expression_strength=1.5)
    assert request.expressions == (pictures["smile"],) and request.mouth == pictures["blink"]
    assert request.settings()["expression_weights"] == [2.0, 1.0] and request.settings()["expression_strength"] == 1.5
    assert set(request.input_hashes()) == {"expression", "expression-2", "mouth"}
    again = GenerateRequest.checked(**{**request.settings(), **input_fields(request.inputs)})
    assert again == request


def test_what_was_read_of_each_picture_is_said(pictures: dict[str, Path]) -> None:
    """Of a part the part alone: nothing of its picture's mouth is taken with the eyes, and no pose."""
    request = GenerateRequest.checked(
        expression=pictures["shout"], expressions=(pictures["smile"],), mouth=pictures["blink"], eyes=pictures["smile"]
    )
    tools = replace(fake_tools(), read=read)
    inputs = build_inputs(request, open_inputs(request), tools, SIZE, frozenset({"landmarks"}))
    does = {"expression": {"jawOpen"}, "expression-2": {"mouthSmileLeft", "mouthSmileRight"},
            "mouth": {"eyeBlinkLeft", "eyeBlinkRight", "mouthFrownLeft", "mouthFrownRight"},
            "eyes": {"eyeBlinkLeft", "mouthSmileLeft"}}  # fmt: skip
    faces = {
        role: replace(
            one.face,
            pose=(30.0, 0.0, 0.0),
            blendshapes=np.array([name in does[role] for name in BLENDSHAPE_NAMES], np.float32),
        )
        for role, one in inputs.seen.items()
    }
    seen = {role: replace(one, face=faces[role]) for role, one in inputs.seen.items()}
    said = dict(part.split(": ") for part in read_as(request, replace(inputs, seen=seen)).split("; "))
    assert said["mouth"] == "mouth corners down" and said["eyes"] == "winking"
    assert "smiling" in said["template-2"] and "turned" in said["template"]


def test_a_file_of_requests_names_them(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps({"expression": "a.png", "expressions": ["b.png"], "mouth": "c.png"}) + "\n")
    (line,) = read_lines(file)
    assert line.values == {
        "expression": tmp_path / "a.png", "expressions": (tmp_path / "b.png",), "mouth": tmp_path / "c.png",
    }  # fmt: skip
