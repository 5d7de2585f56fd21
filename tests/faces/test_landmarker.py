"""MediaPipe's landmarker in torch: its parts by known values, the whole against the package."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mien.errors import BadInput, MissingAsset
from mien.faces.blaze_face import anchors, decode, overlap, suppress
from mien.faces.landmarker import LandmarkerReader, is_level, square_matrix
from mien.faces.linear.vectors import rotation
from mien.faces.mediapipe import MediaPipeReader, pose_of
from mien.faces.metric_pose import FIELD_OF_VIEW, POINTS, CanonicalFace
from mien.media.pictures import open_picture


def test_anchors_are_two_a_cell_of_8_and_six_a_cell_of_16_pixels() -> None:
    middles = anchors()
    assert middles.shape == (896, 2)
    assert middles[0].tolist() == middles[1].tolist() == [0.5 / 16, 0.5 / 16]
    assert middles[2].tolist() == [1.5 / 16, 0.5 / 16]  # x runs first
    assert middles[512].tolist() == middles[517].tolist() == [0.5 / 8, 0.5 / 8]
    assert middles[-1].tolist() == [7.5 / 8, 7.5 / 8]


def test_decoding_adds_the_anchor_to_the_middle_and_the_points() -> None:
    raw = torch.zeros(1, 16)
    raw[0, :6] = torch.tensor([12.8, -12.8, 64.0, 32.0, 6.4, 0.0])  # middle, size, first point: in 1/128
    points = decode(raw, torch.tensor([[0.5, 0.25]]))[0]
    assert torch.allclose(points[0], torch.tensor([0.6 - 0.25, 0.15 - 0.125]))
    assert torch.allclose(points[1], torch.tensor([0.6 + 0.25, 0.15 + 0.125]))
    assert torch.allclose(points[2], torch.tensor([0.55, 0.25]))


def test_overlapping_detections_become_their_weighted_mean() -> None:
    def detection(x: float) -> torch.Tensor:
        return torch.tensor([[x, 0.0], [x + 1, 1.0], *[[x, x]] * 6])

    points = torch.stack([detection(0.2), detection(0.0), detection(5.0)])
    assert overlap(points[:1], points).tolist() == pytest.approx([1, 0.8 / 1.2, 0])
    kept, scores = suppress(points, torch.tensor([0.5, 1.0, 0.9]))
    assert scores.tolist() == pytest.approx([1.0, 0.9])
    assert kept[0, 2, 0].item() == pytest.approx((0.0 * 1.0 + 0.2 * 0.5) / 1.5)
    assert torch.allclose(kept[1], points[2])  # a mean of one, up to rounding
    none, no_scores = suppress(points[:0], torch.zeros(0))
    assert len(none) == len(no_scores) == 0


def test_the_square_is_level_and_half_as_large_again_as_the_box() -> None:
    points = torch.tensor([[10.0, 10.0], [50.0, 30.0], [20.0, 20.0], [40.0, 20.0], *[[0.0, 0.0]] * 4])
    matrix = square_matrix(points)
    assert torch.allclose(
        matrix, torch.tensor([[256 / 60, 0, 128 - 30 * 256 / 60], [0, 256 / 60, 128 - 20 * 256 / 60]])
    )
    points[3] = torch.tensor([20.0, 40.0])  # the left eye below the right one: turned clockwise by 90 degrees
    eyes = square_matrix(points)[:, :2] @ (points[3] - points[2])
    assert eyes[0] > 0 and abs(eyes[1]) < 1e-4
    assert not is_level(points)


def _canonical() -> CanonicalFace:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(POINTS, 3)) * [6.0, 8.0, 3.0]
    return CanonicalFace(points, rng.uniform(0.0, 1.0, POINTS))


@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (25.0, -10.0, 8.0), (-40.0, 15.0, -90.0)])
@pytest.mark.parametrize("size", [(512, 512), (640, 360)])
def test_a_face_seen_by_the_assumed_camera_has_the_pose_it_was_given(
    pose: tuple[float, float, float], size: tuple[int, int]
) -> None:
    """Weak perspective depth, as the landmark network gives it: z by the width, about the face's middle."""
    face, (width, height) = _canonical(), size
    placed = face.points @ rotation(*pose).T + [1.0, -2.0, -400.0]  # far off, where depth hardly bends the picture
    tall = 2 * np.tan(np.radians(FIELD_OF_VIEW) / 2)
    screen = placed[:, :2] / -placed[:, 2:] / [tall * width / height, tall]
    x, y = (screen[:, 0] + 0.5) * width, (0.5 - screen[:, 1]) * height
    z = -(placed[:, 2] + 400.0) / 400.0 / (tall * width / height) * width
    matrix = face.matrix(np.stack([x, y, z], 1), width, height)
    assert pose_of(matrix) == pytest.approx(pose, abs=0.5)


def test_geometry_files_are_read_and_others_refused() -> None:
    floats = np.arange(POINTS * 5, dtype="<f4")
    mesh = b"".join(b"\x1d" + struct.pack("<f", value) for value in floats)

    def message(number: int, content: bytes) -> bytes:
        length, size = len(content), b""
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content

    weight = message(2, b"\x08\x04" + b"\x15" + struct.pack("<f", 0.5))
    face = CanonicalFace.parse(message(1, mesh) + weight, "x")
    assert face.points[1].tolist() == [5.0, 6.0, 7.0]
    assert face.weights[4] == 0.5 and face.weights.sum() == 0.5
    for broken in (b"", b"\xff" * 40, message(1, mesh[:-3]) + weight, message(1, mesh)):
        with pytest.raises(BadInput, match=r"geometry|weights"):
            CanonicalFace.parse(broken, "x")


def test_without_the_model_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    with pytest.raises(MissingAsset, match="mien assets get mediapipe-face-landmarker"):
        LandmarkerReader()
    (tmp_path / "x.task").write_bytes(b"PK no bundle")
    with pytest.raises(BadInput, match="no MediaPipe Face Landmarker bundle"):
        LandmarkerReader(tmp_path / "x.task")


def test_it_reads_what_the_package_reads(shared: Path, assets_folder: Path) -> None:
    """Same networks, other sums: within a tenth of a percent of the eyes' distance, a hundredth of a blendshape."""
    ours, package = LandmarkerReader(), MediaPipeReader()
    for file in ("portrait_a.png", "portrait_b.png"):
        picture = open_picture(shared / "photos" / file)
        read, expected = (reader.read(picture).face() for reader in (ours, package))
        assert read.landmarks is not None and expected.landmarks is not None
        assert read.blendshapes is not None and expected.blendshapes is not None and read.pose is not None
        eyes = np.linalg.norm(expected.landmarks[33, :2] - expected.landmarks[263, :2])
        away = np.linalg.norm(read.landmarks[:, :2] - expected.landmarks[:, :2], axis=1).mean() / eyes
        assert away < 0.001
        assert np.abs(read.blendshapes - expected.blendshapes).max() < 0.02
        assert read.pose == pytest.approx(expected.pose, abs=0.3)


def test_turned_and_small_faces_are_found(shared: Path, assets_folder: Path) -> None:
    from PIL import Image

    reader, picture = LandmarkerReader(), open_picture(shared / "photos" / "portrait_b.png").resize((320, 320))
    upright = reader.read(picture).face()
    assert upright.pose is not None
    for quarter, roll in ((1, -90.0), (2, 180.0), (3, 90.0)):
        pose = reader.read(picture.rotate(90 * quarter, expand=True)).face().pose
        assert pose is not None
        assert abs((pose[2] - roll - upright.pose[2] + 180) % 360 - 180) < 8
    wide = Image.new("RGB", (1600, 1000), (90, 120, 90))
    wide.paste(picture.resize((130, 130)), (1200, 700))
    (found,) = reader.read(wide).faces
    assert 1200 < found.box[0] < found.box[2] < 1330 and 700 < found.box[1] < found.box[3] < 830
    assert reader.read(np.full((200, 300, 3), 128, np.uint8)).faces == ()


@pytest.mark.parametrize("size", [(20_000, 32), (32, 20_000)])
def test_a_strip_costs_no_more_than_its_pixels(size: tuple[int, int], assets_folder: Path) -> None:
    """A border of its long side would make gigabytes of it, and detectors are shown 8,000 pixels at most."""
    reader, seen = LandmarkerReader(), []
    detect = reader._detector.forward

    def noted(pictures: Any, threshold: float = 0.5) -> Any:
        seen.extend(picture.numel() for picture in pictures)
        return detect(pictures, threshold)

    reader._detector.forward = noted  # type: ignore[method-assign]
    try:
        assert reader.read(np.full((*size, 3), 128, np.uint8)).faces == ()
    finally:
        del reader._detector.forward  # the networks are shared in the process
    assert max(seen) < 3 * 20_000 * 32 * 3


def test_pictures_that_are_given_at_once_read_as_one_by_one(shared: Path, assets_folder: Path) -> None:
    """What a GPU does, here on the processor: one call of each network for all pictures whose face is certain."""
    from PIL import Image

    reader, photos = LandmarkerReader(device="cpu"), shared / "photos"
    one, other = open_picture(photos / "portrait_b.png").resize((320, 320)), open_picture(photos / "portrait_a.png")
    turned, grey = one.rotate(90, expand=True), Image.new("RGB", (200, 100), "grey")
    pictures = [one, grey, other, turned, one.resize((400, 300)), other.resize((90, 90))]
    assert reader.at_once == 1
    alone = reader.read_batch(pictures)
    calls: list[int] = []
    net = reader._landmarker.landmark_net
    forward = net.forward
    net.forward = lambda crops: calls.append(len(crops)) or forward(crops)  # type: ignore[method-assign]
    try:
        reader.at_once = 16
        together = reader.read_batch(pictures)
    finally:
        del net.forward  # the networks are shared in the process
    assert max(calls) >= 3 and len(calls) < len(pictures)
    for first, second in zip(alone, together, strict=True):
        assert len(first.faces) == len(second.faces)
        for face, same in zip(first.faces, second.faces, strict=True):
            assert face.landmarks is not None and same.landmarks is not None
            assert face.blendshapes is not None and same.blendshapes is not None
            np.testing.assert_allclose(face.landmarks, same.landmarks, atol=0.02)
            np.testing.assert_allclose(face.blendshapes, same.blendshapes, atol=1e-3)
            assert face.pose == pytest.approx(same.pose, abs=0.02) and face.score == pytest.approx(same.score, abs=1e-4)
