"""InsightFace's detector: its file's answers as faces, against values that are known and against `uniface`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput, MissingAsset
from mien.faces import FaceReader
from mien.faces.scrfd import ScrfdReader, anchor_centres, decode, intersection_over_union, suppress
from mien.faces.types import NoFace, OneFace, SeveralFaces
from tests.scrfd import EDGES, POINTS, write_scrfd


@pytest.fixture
def reader(tmp_path: Path) -> ScrfdReader:
    pytest.importorskip("onnxruntime")
    return ScrfdReader(write_scrfd(tmp_path / "scrfd_10g_bnkps.onnx"))


def picture(*places: tuple[int, int], size: tuple[int, int] = (640, 480)) -> np.ndarray:
    """Black, with red squares of 32 pixels at (column, row) of that grid."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for column, row in places:
        pixels[32 * row : 32 * row + 32, 32 * column : 32 * column + 32, 0] = 255
    return pixels


def test_anchors_stand_twice_at_each_place_row_by_row() -> None:
    centres = anchor_centres(64, 32)
    np.testing.assert_array_equal(centres, np.repeat([[0, 0], [32, 0], [0, 32], [32, 32]], 2, 0))


def random_outputs(side: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    numbers = [(side // stride) ** 2 * 2 for stride in (8, 16, 32)]
    scores = [rng.uniform(0, 0.6, (number, 1)).astype(np.float32) for number in numbers]
    return [*scores, *[rng.uniform(0, 4, (n, width)).astype(np.float32) for width in (4, 10) for n in numbers]]


def test_decoding_and_suppression_are_those_of_uniface() -> None:
    scrfd = pytest.importorskip(
        "uniface.detection", reason="uniface is not installed: pip install 'mien[uniface]'"
    ).SCRFD
    common = pytest.importorskip("uniface.common")
    theirs = object.__new__(scrfd)
    theirs._num_feature_maps, theirs._feat_stride_fpn, theirs._num_anchors = 3, [8, 16, 32], 2
    theirs._center_cache, theirs.confidence_threshold = {}, 0.5
    outputs = random_outputs(128)
    scores, boxes, points = (np.concatenate(rows) for rows in theirs.postprocess(outputs, (128, 128)))
    found = decode(outputs, 128, 0.5)
    assert len(found[0]) > 50
    np.testing.assert_allclose(found[0].clip(0), boxes, rtol=1e-5)  # theirs end at the upper and left edge
    np.testing.assert_allclose(found[1].clip(0), points.clip(0), rtol=1e-5)
    np.testing.assert_array_equal(found[2], scores[:, 0])
    kept = suppress(boxes, found[2], 0.4)
    assert kept == [int(row) for row in common.non_max_suppression(np.hstack([boxes, scores]), 0.4)]
    assert 1 < len(kept) < len(found[0])


def test_overlap_of_boxes() -> None:
    assert intersection_over_union((0, 0, 9, 9), (0, 0, 9, 9)) == 1
    assert intersection_over_union((0, 0, 9, 9), (5, 0, 14, 9)) == pytest.approx(50 / 150)
    assert intersection_over_union((0, 0, 9, 9), (20, 20, 29, 29)) == 0


def test_a_face_lies_where_the_file_says(reader: ScrfdReader) -> None:
    assert isinstance(reader, FaceReader)
    reading = reader.read(picture((5, 4)))
    assert isinstance(reading, OneFace)
    face = reading.face()
    anchor = np.array([160.0, 128.0])
    np.testing.assert_allclose(face.box, [*anchor - 32 * np.array(EDGES[:2]), *anchor + 32 * np.array(EDGES[2:])])
    assert face.points is not None and face.landmarks is None
    np.testing.assert_allclose(face.points, anchor + 32 * np.array(POINTS).reshape(5, 2), atol=1e-3)
    assert 0.5 < face.score <= 1 and face.reader == "antelopev2"


@pytest.mark.parametrize("size", [(1280, 960), (960, 1280), (320, 240)])
def test_places_are_those_of_the_picture_whatever_its_size(reader: ScrfdReader, size: tuple[int, int]) -> None:
    upright = size[0] > size[1]
    shown = Image.fromarray(picture((5, 4), size=(640, 480) if upright else (480, 640)))
    face = reader.read(shown.resize(size, Image.Resampling.NEAREST)).face()
    factor = max(size) / 640
    expected = [160 - 32 * EDGES[0], 128 - 32 * EDGES[1], 160 + 32 * EDGES[2], 128 + 32 * EDGES[3]]
    np.testing.assert_allclose(face.box, factor * np.array(expected), atol=1e-3)


def test_colours_are_red_first(reader: ScrfdReader) -> None:
    assert isinstance(reader.read(picture((5, 4))[..., ::-1]), NoFace)


def test_two_faces_and_doubles(reader: ScrfdReader) -> None:
    assert isinstance(reader.read(picture((3, 3), (15, 9))), SeveralFaces)
    assert isinstance(reader.read(picture((3, 3), (4, 3))), OneFace)  # their boxes share 9/13: one stays


def test_a_face_that_fills_the_picture_is_looked_for_again(
    reader: ScrfdReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, ...]] = []
    network = reader._network

    def watched(batch: np.ndarray) -> dict[str, np.ndarray]:
        shown.append(batch.shape)
        told = network(batch)
        return {name: values * (len(shown) > 1 or values.shape[1] > 1) for name, values in told.items()}

    monkeypatch.setattr(reader, "_network", watched)
    face = reader.read(np.tile(np.array([255, 0, 0], np.uint8), (320, 320, 1))).faces[0]
    assert shown == [(1, 3, 640, 640)] * 2
    x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
    assert -32 <= x <= 352 and -32 <= y <= 352  # in the picture's own pixels, not those of the bordered one


def test_another_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MissingAsset, match="mien assets get scrfd"):
        ScrfdReader()
    from tests.published import write_arcface

    write_arcface(tmp_path / "other.onnx")
    reader = ScrfdReader(tmp_path / "other.onnx", side=112)
    with pytest.raises(BadInput, match="get scrfd again"):
        reader.read(np.zeros((112, 112, 3), np.uint8))
