"""One reader of several: who finds the faces, and who adds to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import BadInput
from mien.faces import FaceReader
from mien.faces.alignment import arcface_matrix, five_points
from mien.faces.joined import JoinedReader, same_face
from mien.faces.linear.face import LinearFace
from mien.faces.names import reader_names
from mien.faces.published.addition import NetworkAddition
from mien.faces.types import Face, NoFace, Reading, reading_of

PICTURE = np.zeros((128, 128, 3), np.uint8)


class Fixed:
    """A reader that always sees the same faces."""

    def __init__(self, name: str, *faces: Face) -> None:
        self.name, self.faces = name, faces
        self.files = {name: Path(name)}

    def read(self, image: Any, source: str = "the picture") -> Reading:
        return reading_of(list(self.faces), source)

    def read_batch(self, images: Any) -> list[Reading]:
        return [self.read(image) for image in images]


class Told:
    """Something that knows the age of every face by its box."""

    name, files = "age", {"age": Path("age")}

    def add(self, pictures: Any, faces: Any) -> list[dict[str, Any]]:
        assert len(pictures) == len(faces)
        return [{"attributes": {"age": face.box[0]}} for face in faces]


def test_a_reader_speaks_about_the_face_at_the_same_place() -> None:
    near, far = Face("a", (10, 10, 50, 50), pose=(1, 2, 3)), Face("a", (70, 70, 100, 100), pose=(4, 5, 6))
    points = np.ones((5, 2), np.float32)
    joined = JoinedReader(
        Fixed("a", near, far), [Fixed("b", Face("b", (12, 8, 52, 50), 0.5, points, pose=(7, 8, 9))), Told()]
    )
    assert isinstance(joined, FaceReader)
    large, small = joined.read(PICTURE).faces
    assert large.pose == (7, 8, 9) and large.points is points, "the later one knows better"
    assert large.box == near.box and large.score == 1, "where a face is, the first one says"
    assert small.pose == (4, 5, 6) and small.points is None
    assert [face.attributes for face in (large, small)] == [{"age": 10}, {"age": 70}]
    assert {face.reader for face in (large, small)} == {joined.name} == {"a+b+age"}
    assert joined.files == {name: Path(name) for name in ("a", "b", "age")}


def test_where_the_first_finds_nothing_there_is_nothing() -> None:
    joined = JoinedReader(Fixed("a"), [Fixed("b", Face("b", (0, 0, 9, 9))), Told()])
    assert isinstance(joined.read(PICTURE, "x"), NoFace) and len(joined.read_batch([PICTURE] * 2)) == 2


def test_the_same_face_is_the_one_that_overlaps_most() -> None:
    face = Face("a", (0, 0, 99, 99))
    some, most = Face("b", (30, 0, 129, 99)), Face("b", (10, 0, 109, 99))
    assert same_face(face, [some, most]) is most
    assert same_face(face, [Face("b", (70, 70, 169, 169))]) is None and same_face(face, []) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [("me", "no reader called 'me'"), ("arcface", "no reader called"), ("mediapipe+auto", "joined by 'auto'"),
     ("mediapipe+", "joined by ''"), ("studio+lpips-alex", "joined by")],
)  # fmt: skip
def test_names_that_there_are_not(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        reader_names(text)


def test_names() -> None:
    assert reader_names("auto") == ("auto",)
    assert reader_names("mediapipe+antelopev2+smirk") == ("mediapipe", "antelopev2", "smirk")


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from mien.assets.registry import asset
    from mien.faces.published.load import EXPORTED
    from tests.published_networks import OUTPUTS, onnx_file

    pytest.importorskip("onnxruntime")
    sizes = {"arcface": 112, "emotieff": 224, "emonet": 256, "smirk": 224, "emoca": 224}
    for name, size in sizes.items():
        file = tmp_path / (EXPORTED.get(name) or f"{name}/{asset(name).files[0].name}")
        file.parent.mkdir(exist_ok=True)
        onnx_file(file, size, OUTPUTS[name])
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    return tmp_path


def test_networks_fill_the_fields_of_a_face(networks: Path) -> None:
    landmarks = LinearFace.load().landmarks(size=128).astype(np.float32)
    found = Face("mediapipe", (20, 20, 100, 100), landmarks=landmarks)
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    networks_told = ("arcface", "emotieff", "emonet", "smirk", "emoca")
    told = {name: NetworkAddition(name).add([picture], [found])[0] for name in networks_told}
    assert {name: list(values) for name, values in told.items()} == {
        "arcface": ["identity"], "emotieff": ["emotion"], "emonet": ["emotion"], "smirk": ["flame"], "emoca": ["flame"],
    }  # fmt: skip
    assert told["arcface"]["identity"].shape == (512,)
    assert told["smirk"]["flame"].shape == told["emoca"]["flame"].shape == (53,)
    for name in ("emotieff", "emonet"):
        assert told[name]["emotion"].shape == (10,) and told[name]["emotion"][2:].sum() == pytest.approx(1)


def test_arcface_takes_the_five_points_where_they_are_known(networks: Path) -> None:
    landmarks = LinearFace.load().landmarks(size=128).astype(np.float32)
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    import torch

    points = five_points(torch.from_numpy(landmarks)).numpy()
    np.testing.assert_array_equal(
        arcface_matrix(torch.from_numpy(points)[None]), arcface_matrix(torch.from_numpy(landmarks)[None])
    )
    arcface = NetworkAddition("arcface")
    box = (20.0, 20.0, 100.0, 100.0)
    given_as: list[dict[str, Any]] = [{"points": points}, {"landmarks": landmarks}]
    same = [arcface.add([picture], [Face("a", box, **given)])[0]["identity"] for given in given_as]
    np.testing.assert_array_equal(*same)
    moved = arcface.add([picture], [Face("a", box, points=points + 9, landmarks=landmarks)])[0]["identity"]
    assert not np.allclose(moved, same[0])
    with pytest.raises(BadInput, match="emonet needs landmarks, and a gives none"):
        NetworkAddition("emonet").add([picture], [Face("a", box, points=points)])


def test_a_batch_goes_through_a_network_at_once_and_reads_as_one_by_one(
    networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faces of many pictures in a few calls; five points beside landmarks, pictures without a face between."""
    landmarks = LinearFace.load().landmarks(size=128).astype(np.float32)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (128, 128, 3), np.uint8) for _ in range(5)]
    one = Face("a", (20, 20, 100, 100), landmarks=landmarks)
    small = (landmarks / 8).astype(np.float32)
    two = Face("a", (0, 0, 19, 19), points=small[[33, 263, 1, 61, 291], :2], landmarks=small)
    faces = [[one, two], [], [two], [one], [two, one]]
    seen = dict(zip([picture.tobytes() for picture in pictures], faces, strict=True))

    class ByPicture(Fixed):
        def read(self, image: Any, source: str = "the picture") -> Reading:
            return reading_of(seen[image.tobytes()], source)

    monkeypatch.setattr("mien.faces.published.addition.AT_ONCE", 4)
    joined = JoinedReader(ByPicture("a"), [NetworkAddition("arcface"), NetworkAddition("smirk")])
    calls: list[int] = []
    network = joined._others[0]._network  # type: ignore[union-attr]
    run = network.run
    object.__setattr__(network, "run", lambda batch: calls.append(len(batch)) or run(batch))
    found = joined.read_batch(pictures)
    assert calls == [4, 2] and [len(reading.faces) for reading in found] == [2, 0, 1, 1, 2]
    for picture, reading in zip(pictures, found, strict=True):
        alone = joined.read(picture)
        assert [face.box for face in alone.faces] == [face.box for face in reading.faces]
        for face, other in zip(alone.faces, reading.faces, strict=True):
            assert face.identity is not None and other.identity is not None and other.flame is not None
            np.testing.assert_allclose(face.identity, other.identity, atol=1e-5)
            np.testing.assert_allclose(face.flame, other.flame, atol=1e-5)  # type: ignore[arg-type]
