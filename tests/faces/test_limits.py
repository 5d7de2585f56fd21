"""Pictures of extreme shapes and crowds are read like others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.demo.examples import Examples
from mien.faces import limits
from mien.faces.landmarker import LandmarkerReader
from mien.faces.limits import faces_within_limits
from mien.faces.studio import StudioReader
from mien.faces.types import Face, FaceReader, SeveralFaces


def found_at(pixels: np.ndarray) -> list[Face]:
    """A detector that finds the white square."""
    rows, columns = np.nonzero(pixels[..., 0] > 200)
    if not len(rows):
        return []
    box = (float(columns.min()), float(rows.min()), columns.max() + 1.0, rows.max() + 1.0)
    corners = np.array([[box[0], box[1], 5.0], [box[2], box[3], 5.0]], np.float32)
    return [Face(reader="square", box=box, landmarks=corners, points=corners[:, :2])]


@pytest.mark.parametrize(("height", "width"), [(300, 200), (32, 20_000), (40_000, 32), (9000, 9000)])
def test_what_is_found_is_in_pixels_of_the_picture(height: int, width: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    scale = max(1.0, max(height, width) / limits.LARGEST)
    y0, y1, x0, x1 = height // 2, height // 2 + 15, width // 3, width // 3 + 15
    pixels[y0:y1, x0:x1] = 255
    shown: list[tuple[int, ...]] = []

    def detect(seen: np.ndarray) -> list[Face]:
        shown.append(seen.shape)
        return found_at(seen) if len(shown) == 2 else []

    (face,) = faces_within_limits(pixels, detect, 1 / 3, "constant")
    assert face.box == pytest.approx((x0, y0, x1, y1), abs=2 * scale)
    assert face.landmarks is not None and face.landmarks[:, :2].ravel() == pytest.approx(face.box, rel=1e-5)
    assert face.landmarks[0, 2] == pytest.approx(5 * scale) and face.points is not None
    assert max(max(shape) for shape in shown) <= limits.LARGEST * 5 / 3
    assert shown[1][0] <= 5 / 3 * shown[0][0] and shown[1][1] <= 5 / 3 * shown[0][1]  # a strip stays a strip


@pytest.mark.parametrize("size", [(32, 20_000), (20_000, 32), (40_000, 32), (32, 40_000)])
def test_mediapipe_reads_strips_without_an_abort(assets_folder: Path, size: tuple[int, int]) -> None:
    pytest.importorskip("mediapipe", reason="mediapipe is not installed: pip install 'mien[faces]'")
    from mien.faces.mediapipe import MediaPipeReader

    reader = MediaPipeReader()
    assert not reader.read(Image.new("RGB", size, (120, 90, 80))).faces
    reader.close()


def reader_named(name: str) -> FaceReader:
    if name == "studio":
        return StudioReader.from_pretrained()
    if name == "mediapipe-torch":
        return LandmarkerReader()
    pytest.importorskip("mediapipe", reason="mediapipe is not installed: pip install 'mien[faces]'")
    from mien.faces.mediapipe import MediaPipeReader

    return MediaPipeReader(confidence=0.5)  # of faces this small the usual 0.6 finds half


@pytest.mark.parametrize(  # of twelve faces as small as these MediaPipe's own package finds eight
    ("name", "count"),
    [(name, count) for name in ("studio", "mediapipe-torch") for count in (8, 12)] + [("mediapipe", 8)],
)
def test_a_crowd_is_counted_and_the_largest_is_among_it(name: str, count: int, request: pytest.FixtureRequest) -> None:
    if name != "studio":
        request.getfixturevalue("assets_folder")
    face = Image.open(Examples.load().people[0].path).convert("RGB")
    crowd = Image.new("RGB", (4 * 200, count // 4 * 200), (120, 120, 120))
    for number in range(count):
        side = 190 if number == 5 else 150
        crowd.paste(face.resize((side, side)), (200 * (number % 4), 200 * (number // 4)))
    reader = reader_named(name)
    reading = reader.read(crowd)
    if name == "mediapipe":
        reader.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(reading, SeveralFaces) and len(reading.faces) == count
    assert 200 <= reading.largest.box[0] < 400 and 200 <= reading.largest.box[1] < 400
    with pytest.warns(UserWarning, match=f"{count} faces found"):
        reading.face()
