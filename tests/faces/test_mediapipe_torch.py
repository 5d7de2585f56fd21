"""MediaPipe's landmarker in torch: its agreement with MediaPipe itself, and gradients."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mien.errors import BadInput
from mien.faces import mediapipe_torch
from mien.faces.alignment import transform_points
from mien.faces.mediapipe import MediaPipeReader, tracked_reading
from mien.faces.mediapipe_torch import (
    BLENDSHAPE_LANDMARKS,
    BLENDSHAPES,
    DETECTOR,
    GEOMETRY,
    LANDMARKS,
    TorchFaceLandmarker,
    read_bundle,
    roi_matrix,
)
from mien.faces.mirror import landmark_order
from mien.training.batches import pictures_to_tensor
from tests.tolerance import PASS

pytest.importorskip("tflite", reason="tflite is not installed: pip install 'mien[heads]'")


@pytest.fixture(scope="module")
def bundle(shared: Path) -> Path:
    return shared / "models" / "face_landmarker.task"


@pytest.fixture(scope="module")
def landmarker(bundle: Path) -> TorchFaceLandmarker:
    return TorchFaceLandmarker(bundle)


def photograph(shared: Path, name: str) -> Image.Image:
    if name == "astronaut":
        data: Any = pytest.importorskip(
            "skimage.data", reason="scikit-image is not installed: pip install 'mien[test]'"
        )
        return Image.fromarray(data.astronaut())
    return Image.open(shared / "photos" / f"{name}.png").convert("RGB")


PICTURES = [("portrait_a", 0), ("portrait_b", 0), ("astronaut", 0), ("portrait_a", 128), ("portrait_b", 256)]


@pytest.fixture(scope="module")
def readings(bundle: Path, shared: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pictures with what MediaPipe says of them when it tracks: pixels, landmarks, blendshapes."""
    pytest.importorskip("mediapipe", reason="mediapipe is not installed: pip install 'mien[faces]'")
    found = []
    for name, side in PICTURES:
        picture = photograph(shared, name)
        picture = picture.resize((side, side), Image.Resampling.LANCZOS) if side else picture
        if name == "portrait_b" and side:
            picture = picture.rotate(15, Image.Resampling.BICUBIC)  # the square turns with the eyes
        pixels = np.array(picture)
        read = tracked_reading(pixels, bundle)
        assert read is not None
        found.append((pixels, *read))
    return found


def test_blendshapes_of_mediapipes_own_landmarks_are_mediapipes(
    landmarker: TorchFaceLandmarker, bundle: Path, shared: Path
) -> None:
    """The second network alone; a still picture, whose landmarks no filter has touched."""
    pytest.importorskip("mediapipe", reason="mediapipe is not installed: pip install 'mien[faces]'")
    face = MediaPipeReader(bundle).read(photograph(shared, "portrait_a")).face()
    assert face.landmarks is not None and face.blendshapes is not None
    found = landmarker.blendshapes(torch.from_numpy(face.landmarks)[None])[0]
    np.testing.assert_allclose(found.numpy(), face.blendshapes, atol=5e-5)


def test_landmarks_and_blendshapes_are_mediapipes_within_what_its_filter_leaves(
    landmarker: TorchFaceLandmarker, readings: list[Any]
) -> None:
    for pixels, landmarks, blendshapes in readings:
        pictures, points = pictures_to_tensor(pixels[None]), torch.from_numpy(landmarks)[None]
        with torch.no_grad():
            found = landmarker.landmarks(pictures, points)
            scores = landmarker.blendshapes(found)
        face = np.ptp(landmarks[:, 0])
        assert np.abs(found[0].numpy() - landmarks)[:, :2].mean() < 0.001 * face
        assert np.abs(found[0].numpy() - landmarks)[:, 2].mean() < 0.002 * face
        assert np.abs(scores[0].numpy() - blendshapes).mean() < 0.004
        assert np.abs(scores[0].numpy() - blendshapes).max() < 0.04


@pytest.fixture(scope="module")
def mirrored(readings: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture of 128 px and its mirror image, with landmarks."""
    pixels, landmarks, _ = readings[3]
    other = landmarks[list(landmark_order())] * [-1, 1, 1] + [pixels.shape[1], 0, 0]
    points = torch.from_numpy(np.stack([landmarks, other]).astype(np.float32))
    pictures = pictures_to_tensor(pixels[None])
    return torch.cat([pictures, pictures.flip(-1)]), points


def test_a_batch_is_its_rows(landmarker: TorchFaceLandmarker, mirrored: tuple[torch.Tensor, torch.Tensor]) -> None:
    pictures, points = mirrored
    with torch.no_grad():
        whole = landmarker(pictures, points)
        alone = torch.cat([landmarker(pictures[k : k + 1], points[k : k + 1]) for k in range(2)])
    assert whole.shape == (2, 52)
    torch.testing.assert_close(whole, alone, **PASS)
    assert (whole[0] - whole[1]).abs().max() > 0.01


def test_gradients_reach_the_pixels_and_are_those_of_finite_differences(
    bundle: Path, mirrored: tuple[torch.Tensor, torch.Tensor]
) -> None:
    landmarker = TorchFaceLandmarker(bundle)
    pictures, points = mirrored[0].clone().requires_grad_(), mirrored[1].clone().requires_grad_()
    wanted = torch.zeros(52)
    wanted[25] = 1.0  # jawOpen
    score = (landmarker(pictures, points) @ wanted).sum()
    score.backward()
    assert points.grad is None
    assert pictures.grad is not None and all(row.abs().max() > 0 for row in pictures.grad)
    assert [name for name, one in landmarker.named_parameters()] == []
    # up the gradient the mouth is read as wider open, by what the gradient says
    step = 1e-3 * pictures.grad / pictures.grad.norm()
    with torch.no_grad():
        up, down = ((landmarker(pictures + sign * step, points) @ wanted).sum() for sign in (1, -1))
    torch.testing.assert_close(up - down, 2 * 1e-3 * pictures.grad.norm(), rtol=0.05, atol=1e-5)


def test_large_pictures_give_every_pixel_of_the_face_a_gradient(
    landmarker: TorchFaceLandmarker, mirrored: tuple[torch.Tensor, torch.Tensor]
) -> None:
    large = torch.nn.functional.interpolate(mirrored[0][:1], scale_factor=8, mode="bilinear").requires_grad_()
    landmarker(large, mirrored[1][:1] * 8).sum().backward()
    x, y = (mirrored[1][0, 1, :2] * 8).round().long().tolist()  # the nose
    assert large.grad is not None
    assert (large.grad[0, :, y - 60 : y + 60, x - 60 : x + 60] != 0).float().mean() > 0.99


def test_the_square_is_the_tracked_one() -> None:
    points = torch.zeros(478, 3)
    points[:, 0], points[:, 1] = torch.linspace(40, 100, 478), torch.linspace(10, 50, 478)
    points[33, :2], points[263, :2] = torch.tensor([60.0, 20.0]), torch.tensor([80.0, 20.0])
    matrix = roi_matrix(points[None])
    centre = transform_points(matrix, torch.tensor([[[70.0, 30.0], [115.0, 30.0]]]))
    torch.testing.assert_close(centre, torch.tensor([[[128.0, 128.0], [256.0, 128.0]]]))  # 1.5 x 60 wide
    points[263, :2] = torch.tensor([60.0, 40.0])  # eyes one above the other: a quarter turn
    turned = transform_points(roi_matrix(points[None]), torch.tensor([[[70.0, 75.0]]]))
    torch.testing.assert_close(turned, torch.tensor([[[256.0, 128.0]]]))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no MediaPipe Face Landmarker bundle"):
        TorchFaceLandmarker(tmp_path / "nowhere.task")
    with zipfile.ZipFile(tmp_path / "empty.task", "w") as archive:
        archive.writestr("face_detector.tflite", b"")
    with pytest.raises(BadInput, match="no MediaPipe Face Landmarker bundle"):
        TorchFaceLandmarker(tmp_path / "empty.task")


def test_the_landmarks_read_are_146_different_ones() -> None:
    assert len(set(BLENDSHAPE_LANDMARKS)) == len(BLENDSHAPE_LANDMARKS) == 146


def test_a_damaged_bundle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (DETECTOR, LANDMARKS, BLENDSHAPES, GEOMETRY)
    path = tmp_path / "a.task"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, bytes(range(256)) * 40)
    whole = path.read_bytes()
    assert read_bundle(path) == dict.fromkeys(names, bytes(range(256)) * 40)
    for place in range(60, 120):  # within the packed bytes of the first
        path.write_bytes(whole[:place] + b"\xff\xff" + whole[place + 2 :])
        with pytest.raises(BadInput, match="no MediaPipe Face Landmarker bundle"):
            read_bundle(path)
    path.write_bytes(whole)
    monkeypatch.setattr(mediapipe_torch, "LARGEST_PART", 10_000)
    with pytest.raises(BadInput, match="no MediaPipe Face Landmarker bundle"):
        read_bundle(path)
