from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import MissingAsset
from mien.faces.linear.vectors import rotation
from mien.faces.mediapipe import MediaPipeReader, find_model, pose_of
from mien.faces.types import NoFace, OneFace, SeveralFaces


def test_pose_of_inverts_our_rotation() -> None:
    for pose in [(20.0, -10.0, 5.0), (-35.0, 15.0, -12.0), (0.0, 0.0, 0.0)]:
        assert pose_of(rotation(*pose)) == pytest.approx(pose, abs=1e-9)


def test_nose_of_a_head_turned_to_its_left_points_to_positive_x() -> None:
    nose = rotation(30.0, 0.0, 0.0) @ [0, 0, 1]
    assert nose[0] > 0.4  # the subject's left is the picture's right
    assert (rotation(0.0, 20.0, 0.0) @ [0, 0, 1])[1] > 0.3  # looks up
    assert (rotation(0.0, 0.0, 20.0) @ [0, 1, 0])[0] > 0.3  # the top of the head goes to the subject's left


def test_absent_model_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MissingAsset, match="download https://"):
        find_model()
    (tmp_path / "cache" / "assets").mkdir(parents=True)
    (tmp_path / "cache" / "assets" / "face_landmarker.task").touch()
    assert find_model() == tmp_path / "cache" / "assets" / "face_landmarker.task"


@pytest.fixture
def reader(assets_folder: Path) -> MediaPipeReader:
    pytest.importorskip("mediapipe")
    return MediaPipeReader()


def test_reads_a_photograph(reader: MediaPipeReader, shared: Path) -> None:
    picture = Image.open(shared / "photos" / "portrait_a.png").convert("RGB")
    face = reader.read(picture).face()
    assert face.landmarks is not None
    assert face.blendshapes is not None
    assert face.landmarks.shape == (478, 3)
    assert face.blendshapes.shape == (52,)
    assert face.landmarks[33, 0] < face.landmarks[263, 0]  # the subject's right eye is on the picture's left
    mirrored = reader.read(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).face()
    assert face.pose is not None
    assert mirrored.pose is not None
    np.testing.assert_allclose(mirrored.pose, np.multiply(face.pose, [-1, 1, -1]), atol=3)


def test_none_one_and_two_faces(reader: MediaPipeReader, shared: Path) -> None:
    a = Image.open(shared / "photos" / "portrait_a.png").convert("RGB").resize((256, 256))
    b = Image.open(shared / "photos" / "portrait_b.png").convert("RGB").resize((256, 256))
    pair = Image.fromarray(np.hstack([np.asarray(a), np.asarray(b)]))
    outcomes = reader.read_batch([Image.new("RGB", (128, 128), "grey"), a, pair])
    assert [type(outcome) for outcome in outcomes] == [NoFace, OneFace, SeveralFaces]


def test_a_face_that_fills_the_picture_is_found(reader: MediaPipeReader, shared: Path) -> None:
    picture = Image.open(shared / "photos" / "portrait_b.png").convert("RGB")
    x0, y0, x1, y1 = reader.read(picture).face().box
    crop = picture.crop((int(x0), int(y0), int(x1), int(y1)))
    face = reader.read(crop).face()
    assert face.box[2] - face.box[0] == pytest.approx(x1 - x0, rel=0.12)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="counts threads and handles where Linux lists them")
def test_a_reader_that_is_dropped_is_freed(assets_folder: Path) -> None:
    """Each held a file handle, four threads and 23 MB for ever: an interpreter's exit handler knew it."""

    def held() -> tuple[int, int]:
        gc.collect()
        return len(list(Path("/proc/self/task").iterdir())), len(list(Path("/proc/self/fd").iterdir()))

    picture = np.zeros((64, 64, 3), np.uint8)
    MediaPipeReader().read(picture)
    before = held()
    for _ in range(5):
        MediaPipeReader().read(picture)
    assert held() == before
    reader = MediaPipeReader()
    assert held()[0] > before[0], "so that the test can fail"
    reader.close()
    reader.close()
    assert held() == before
