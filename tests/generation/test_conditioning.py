"""Which landmarks a request leads to, when nothing, a feeling or a picture says what the face does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput
from mien.faces.linear.face import LinearFace
from mien.faces.linear.fit import fit_face
from mien.faces.types import Face, OneFace
from mien.generation.conditioning import build_inputs, open_inputs
from mien.generation.request import GenerateRequest
from tests.fakes import SIZE, fake_tools

BRANCHES = frozenset({"landmarks", "emotion"})


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (SIZE, SIZE), (200, 150, 120)).save(path)
    return path


def landmarks(kinds: frozenset[str] = BRANCHES, **asked: Any) -> Any:
    request = GenerateRequest.checked(output=Path("out"), **asked)
    pictures = open_inputs(request)
    return build_inputs(request, pictures, fake_tools(), SIZE, kinds).landmarks


def test_a_person_alone_is_drawn_at_rest_and_looking_ahead(photo: Path) -> None:
    points = landmarks(identity=photo)
    assert points is not None
    fitted = fit_face(points)
    # the camera of the fit is not quite the studio's, which looks like up to 0.14 of jawForward on a face at rest
    assert max(abs(angle) for angle in fitted.pose) < 2 and fitted.coefficients.max() < 0.15
    assert landmarks(identity=photo, kinds=frozenset()) is None  # a base without the branch is not asked for it


def test_an_expression_comes_by_the_branches_that_are_named(photo: Path) -> None:
    both = BRANCHES | {"expression"}

    def inputs(by: Any, kinds: frozenset[str] = both) -> Any:
        request = GenerateRequest.checked(output=Path("out"), identity=photo, expression=photo, expression_by=by)
        return request, build_inputs(request, open_inputs(request), fake_tools(), SIZE, kinds)

    scales = {by: inputs(by)[0].branch_scales for by in (None, "landmarks", "picture", "both")}
    assert scales == {
        None: {}, "landmarks": {"expression": 0.0}, "picture": {"expression": 1.0, "landmarks": 0.0},
        "both": {"expression": 1.0},
    }  # fmt: skip
    assert {by: inputs(by)[1].landmarks is not None for by in scales} == {by: by != "picture" for by in scales}
    assert all(inputs(by)[1].expression is not None for by in ("picture", "both"))
    for by, lacking in (("picture", BRANCHES), ("both", BRANCHES), ("both", frozenset({"expression"}))):
        with pytest.raises(BadInput, match=f"no branch for .*leave out expression-by {by}"):
            inputs(by, lacking)
    recorded = inputs("both")[0].settings()
    assert recorded["expression_by"] == "both" and "expression_by" not in inputs(None)[0].settings()


def test_a_picture_for_several_roles_is_opened_and_read_once(photo: Path) -> None:
    tools, read = fake_tools(), []

    def counting(picture: Any, source: str) -> Any:
        read.append(source)
        return tools.read(picture, source)

    same = GenerateRequest.checked(output=Path("out"), identity=photo, expression=photo, pose=photo)
    pictures = open_inputs(same)
    assert pictures["identity"] is pictures["expression"] is pictures["pose"]
    found = build_inputs(same, pictures, replace(tools, read=counting), SIZE, BRANCHES)
    assert read == [str(photo)] and set(found.seen) == {"identity", "expression", "pose"}


def test_a_feeling_alone_looks_as_it_usually_does() -> None:
    rest, happy, faint = (
        LinearFace.load().landmarks(size=SIZE),
        landmarks(emotion="happy"),
        landmarks(emotion="happy:0.3"),
    )

    def width(points: np.ndarray) -> float:
        return float(np.linalg.norm(points[61, :2] - points[291, :2]))

    assert width(happy) > width(faint) > width(rest)
    np.testing.assert_allclose(landmarks(emotion="neutral"), rest)


def test_a_picture_of_an_expression_goes_before_a_feeling(photo: Path) -> None:
    np.testing.assert_array_equal(
        landmarks(identity=photo, expression=photo, emotion="anger"), landmarks(identity=photo, expression=photo)
    )


def test_the_bones_are_the_persons_own_unless_raw_landmarks_are_asked_for(photo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    Image.new("RGB", (SIZE, SIZE), (90, 60, 40)).save(other)
    face = LinearFace.load()
    broad = np.zeros(face.shapes)
    broad[0] = 2.0
    shapes = {(200, 150, 120): broad, (90, 60, 40): -broad}

    def read(image: Any, source: str) -> OneFace:
        points = face.landmarks(shape=shapes[image.getpixel((0, 0))], size=SIZE)
        return OneFace(Face("studio", (24, 24, 104, 104), landmarks=points), source)

    def drawn(**asked: Any) -> np.ndarray:
        request = GenerateRequest.checked(identity=photo, expression=other, output=Path("out"), **asked)
        pictures = open_inputs(request)
        points = build_inputs(request, pictures, replace(fake_tools(), read=read), SIZE, BRANCHES).landmarks
        assert points is not None
        return fit_face(points).shape

    assert drawn()[0] > 1 > -1 > drawn(retarget=False)[0]
    assert drawn(retarget="coefficients")[0] > 1


def test_ways_of_retargeting_are_named_and_records_of_before_mean_what_they_meant() -> None:
    def way(value: Any) -> str:
        return GenerateRequest.checked(prompt="x", retarget=value).retarget

    assert (way(True), way(False), way("coefficients")) == ("difference", "none", "coefficients")
    with pytest.raises(BadInput, match="'difference' or 'none'"):
        way("copy")


def test_a_face_at_rest_does_not_gainsay_the_words(photo: Path) -> None:
    said: dict[str, Any] = {"identity": photo, "prompt": "photo of a id person, laughing, blue eyes"}
    assert landmarks(**said) is None
    assert landmarks(identity=photo, prompt="photo of a id person with blue eyes") is not None
    assert landmarks(**said, yaw=20.0) is not None  # an angle asks for landmarks, whatever the words
    np.testing.assert_array_equal(landmarks(**said, emotion="sad"), landmarks(identity=photo, emotion="sad"))


def test_words_alone_decide_for_themselves() -> None:
    assert landmarks(prompt="portrait of a smiling woman") is None
    assert landmarks(prompt="portrait of a woman", yaw=20.0) is not None


@pytest.mark.parametrize(("weights", "chief"), [((0.05, 0.95), 1), ((0.6, 0.4), 0), ((), 0)])
def test_the_heaviest_of_several_people_is_described_and_looked_at(
    weights: tuple[float, ...], chief: int, photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    Image.new("RGB", (SIZE, SIZE), (90, 60, 40)).save(other)

    def embed(seen: Any) -> tuple[np.ndarray, dict[str, Any]]:
        return fake_tools().embed(seen)[0], {"colour": seen.image.getpixel((0, 0))}

    tools = replace(fake_tools(), embed=embed, describe=lambda attributes: str(attributes["colour"]))
    request = GenerateRequest.checked(identity=photo, identities=(other,), weights=weights, output=Path("out"))
    pictures = open_inputs(request)
    found = build_inputs(request, pictures, tools, SIZE, frozenset({"face"}))
    colour = ((200, 150, 120), (90, 60, 40))[chief]
    assert found.prompt == str(colour)
    assert (found.face[0, :, 0, 0] + 1).tolist() == pytest.approx([2 * value / 255 for value in colour], abs=0.01)  # type: ignore
