from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mien.demo.examples import Examples
from mien.errors import MissingAsset
from mien.faces.alignment import STUDIO_CENTRE, STUDIO_RADIUS, studio_matrix, transform_points
from mien.faces.networks import Detector, IdentityEmbedder, StudioFaceNet
from mien.faces.studio import StudioReader, sure_word
from mien.faces.types import Face, FaceReader, NoFace, OneFace, without_doubles

CLASSES = {"beard": ("none", "stubble")}


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> StudioReader:
    """Untrained networks whose detection and landmarks are set by hand."""
    torch.manual_seed(0)
    built = StudioReader(Detector(), StudioFaceNet(classes=CLASSES), IdentityEmbedder())
    points = torch.randn(478, 3) * 0.12 + torch.tensor([*STUDIO_CENTRE, 0.0])
    points = transform_points(studio_matrix(points[None], 1)[0], points)  # a face that is framed frames itself so again
    with torch.no_grad():
        built.face.points.weight.zero_()
        built.face.points.bias.copy_(points.flatten())
        built.face.numbers.bias.fill_(5.0)  # among others: a face is present
    return built


def test_a_face_is_read_in_pixels_of_the_picture(reader: StudioReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_detect", lambda picture: [[300.0, 200.0, 60.0, 0.9]])
    picture = Image.effect_noise((500, 400), 60).convert("RGB")
    reading = reader.read(picture)
    assert isinstance(reading, OneFace)
    face = reading.face()
    assert face.landmarks is not None
    assert face.mask is not None
    assert face.identity is not None
    assert face.attributes is not None
    assert face.mask.shape == (400, 500)
    assert np.linalg.norm(face.identity) == pytest.approx(1, abs=1e-5)
    assert {"skin_tone", "age", "gender"} <= face.attributes.keys()
    # the networks answer with one shape in the frame, so the picture's points are that shape, scaled by the framing
    frame = reader.face.points.bias.detach().view(478, 3).numpy()
    span = np.ptp(face.landmarks[:, 0]) / np.ptp(frame[:, 0])
    assert 60 / STUDIO_RADIUS * 0.5 < span < 60 / STUDIO_RADIUS * 2.0


def test_detections_are_in_pixels_of_a_picture_that_is_not_square(
    reader: StudioReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader.detector, "detect", lambda x, threshold: [torch.tensor([[64.0, 64.0, 10.0, 0.8]])])
    ((x, y, radius, score),) = reader._detect(Image.new("RGB", (640, 320)))
    assert (x, y, radius, score) == pytest.approx((320, 160, 50, 0.8), abs=1e-3)


def test_no_detection_and_doubles(reader: StudioReader, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.new("RGB", (128, 128))
    monkeypatch.setattr(reader, "_detect", lambda picture: [])
    assert isinstance(reader.read(picture), NoFace)
    monkeypatch.setattr(reader, "_detect", lambda picture: [[64.0, 50.0, 30.0, 0.9], [65.0, 51.0, 30.0, 0.5]])
    assert isinstance(reader.read(picture), OneFace)


def test_saved_reader_comes_back(reader: StudioReader, tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="mien train"):
        StudioReader.from_pretrained(tmp_path)
    reader.detector.save_pretrained(tmp_path / "reader" / "detector")
    reader.face.save_pretrained(tmp_path / "reader" / "face")
    reader.embedder.save_pretrained(tmp_path / "identity")
    again = StudioReader.from_pretrained(tmp_path, threshold=0.1)
    assert isinstance(again, FaceReader)
    torch.testing.assert_close(again.face.points.bias, reader.face.points.bias)


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        ((30.0, 40.0, 60.0, 70.0), 1),  # an eye and a cheek taken for a face
        ((5.0, 5.0, 95.0, 95.0), 1),  # the same face, framed again
        ((80.0, 0.0, 180.0, 100.0), 2),  # a neighbour, a little behind
    ],
)
def test_a_face_inside_a_face_is_no_second_face(second: tuple[float, float, float, float], kept: int) -> None:
    faces = [Face("studio", (0.0, 0.0, 100.0, 100.0), 0.9), Face("studio", second, 0.8)]
    assert len(without_doubles(faces)) == kept


@pytest.mark.parametrize("share", [0.45, 0.7, 1.3])
def test_a_detection_of_the_wrong_size_is_read_as_one_of_the_right_size(share: float) -> None:
    """Framed once only, a face whose detection was half as large lost its brow, and its hair was read as a hat."""
    reader = StudioReader.from_pretrained()
    for person in Examples.load().people:
        picture = Image.open(person.path).convert("RGB")
        face = reader.read(picture).face()
        assert face.attributes is not None and face.attributes["headwear"] == "none", person.name
        assert face.landmarks is not None
        low, high = face.landmarks[:, :2].min(0), face.landmarks[:, :2].max(0)
        (x, y), radius = (low + high) / 2, float((high - low).mean() / 2)
        again = reader._read_face(picture, [float(x), float(y), radius * share, 0.9])
        assert again is not None and again.landmarks is not None and again.attributes is not None
        assert np.linalg.norm((again.landmarks - face.landmarks)[:, :2], axis=1).mean() < 0.02 * picture.width
        assert again.attributes["headwear"] == "none", person.name


@pytest.mark.parametrize(("odds", "told"), [((0.3, 0.7), "stubble"), ((0.45, 0.55), None)])
def test_an_attribute_it_is_not_sure_of_is_not_told(
    reader: StudioReader, odds: tuple[float, float], told: str | None
) -> None:
    numbers = {name: np.zeros(1, np.float32) for name in ("skin_tone", "age", "gender")}
    assert (
        reader._attributes({"beard": np.array(odds, np.float32), **numbers}, Image.new("RGB", (128, 128))).get("beard")
        == told
    )


@pytest.mark.parametrize(
    ("odds", "told"),
    [
        ((0.65, 0.2, 0.15), "none"), ((0.3, 0.25, 0.45), "full"), ((0.35, 0.35, 0.3), "stubble"),
        ((0.5, 0.3, 0.2), None), ((0.1, 0.8, 0.1), "stubble"),
    ],
)  # fmt: skip
def test_whether_there_is_any_is_decided_before_which(odds: tuple[float, ...], told: str | None) -> None:
    assert sure_word(("none", "stubble", "full"), np.array(odds, np.float32)) == told
    assert sure_word(("black", "brown", "grey"), np.array((0.35, 0.35, 0.3), np.float32)) is None
