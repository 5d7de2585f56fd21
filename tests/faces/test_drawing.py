from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

from mien.faces.connections import COLOURS, IRISES, POLYLINES
from mien.faces.drawing import draw_landmarks


def _ring() -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    return np.stack([64 + 40 * np.cos(angle), 64 + 40 * np.sin(angle), 0 * angle], -1)


def test_a_line_lies_where_its_points_are() -> None:
    points = np.full((478, 3), [30.5, 60.5, 0])
    points[168] = (30.5, 20.5, 0)  # only the first segment of the nose has a length
    picture = draw_landmarks(points)
    assert picture[21:57, 30].tolist() == [list(COLOURS["nose"])] * 36
    assert picture[21:57, 29].max() == picture[21:57, 31].max() == 0


def test_an_iris_is_a_disc_of_its_colour() -> None:
    points = np.full((478, 3), -1000.0)
    centre, rim = IRISES["left_iris"]
    points[centre] = (50, 70, 0)
    points[list(rim), :2] = [(55, 70), (50, 65), (45, 70), (50, 75)]
    picture = draw_landmarks(points)
    assert picture[70, 50].tolist() == list(COLOURS["left_iris"])
    assert abs((picture.astype(float) @ [0, 0, 1 / 255]).sum() - np.pi * 25) < 2


def test_drawing_scales_with_the_output_and_moves_with_its_points() -> None:
    small = draw_landmarks(_ring(), 128).astype(float)
    large = draw_landmarks(_ring(), 128, 256).reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert np.abs(small - large).mean() < 2.5
    moved = draw_landmarks(_ring() + np.array([3, 0, 0])).astype(float)
    assert np.array_equal(moved[:, 3:], small[:, :-3])


def _by_definition(landmarks: np.ndarray, side: int) -> np.ndarray:
    """The picture of ``draw_landmarks``, each pixel measured against every segment."""
    points, reach = landmarks[:, :2].astype(np.float32), 0.5 * max(side / 128, 1.0) + 0.5
    x, y = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    covered: dict[str, np.ndarray] = {}
    for name, (centre, rim) in IRISES.items():
        radius = max(float(np.hypot(*(points[list(rim)] - points[centre]).T).mean()), 0.75)
        covered[name] = radius + 0.5 - np.hypot(x - points[centre, 0], y - points[centre, 1])
    for name, lines in POLYLINES.items():
        nearest = np.full((side, side), np.inf)
        for start, end in [pair for line in lines for pair in pairwise(line)]:
            (dx, dy), (ux, uy) = (x - points[start, 0], y - points[start, 1]), points[end] - points[start]
            share = ((dx * ux + dy * uy) / max(np.hypot(ux, uy) ** 2, 1e-12)).clip(0, 1)
            nearest = np.minimum(nearest, np.hypot(dx - share * ux, dy - share * uy))
        covered[name] = reach - nearest
    picture = np.zeros((side, side, 3), np.float32)
    for name, share in covered.items():
        alpha = share.clip(0, 1).astype(np.float32)[..., None]
        picture += alpha * (np.array(COLOURS[name], np.float32) - picture)
    return (picture + 0.5).astype(np.uint8)


@pytest.mark.parametrize("side", [96, 256])
@pytest.mark.parametrize("size", [0.4, 1.0, 6.0])
def test_every_pixel_has_its_share_of_the_nearest_segment(side: int, size: float) -> None:
    rng = np.random.default_rng(side)
    points = (side * (0.5 + size * (rng.random((478, 3)) - 0.5))).astype(np.float32)
    assert np.array_equal(draw_landmarks(points, side), _by_definition(points, side))


def test_points_outside_are_cut_off_and_bad_ones_refused() -> None:
    assert draw_landmarks(_ring() * 50).shape == (128, 128, 3)
    with pytest.raises(ValueError, match="finite"):
        draw_landmarks(np.full((478, 3), np.nan))
    with pytest.raises(ValueError, match="478"):
        draw_landmarks(np.zeros((468, 3)))


def test_it_is_quick() -> None:
    points = _ring()
    draw_landmarks(points)
    start = time.process_time()
    for _ in range(10):
        draw_landmarks(points)
    assert (time.process_time() - start) / 10 < 0.02  # 2 ms alone; the bound is loose for busy machines


def test_connections_match_mediapipe() -> None:
    module = pytest.importorskip("mediapipe.tasks.python.vision.face_landmarker")
    for name, lines in POLYLINES.items():
        theirs = getattr(module.FaceLandmarksConnections, f"FACE_LANDMARKS_{name.upper()}")
        ours = [pair for line in lines for pair in pairwise(line)]
        assert ours == [(edge.start, edge.end) for edge in theirs]
