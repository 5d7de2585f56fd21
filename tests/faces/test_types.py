from __future__ import annotations

import numpy as np
import pytest

from mien.errors import MienError
from mien.faces.types import Face, NoFace, OneFace, SeveralFaces, reading_of


def _face(side: float, x: float = 0.0, score: float = 1.0) -> Face:
    return Face(reader="test", box=(x, 0.0, x + side, side), score=score)


def test_number_of_faces_decides_the_outcome() -> None:
    assert isinstance(reading_of([]), NoFace)
    one = reading_of([_face(3)])
    assert isinstance(one, OneFace)
    assert one.face() is one.faces[0]


def test_several_faces_give_the_largest_and_a_warning() -> None:
    reading = reading_of([_face(3), _face(9, x=10), _face(5, x=20)], "group.png")
    assert isinstance(reading, SeveralFaces)
    with pytest.warns(UserWarning, match=r"3 faces found in group\.png"):
        assert reading.face().area == 81


def test_size_and_score_together_say_which_face_is_meant() -> None:
    sure, doubtful = _face(8, score=0.95), _face(10, x=20, score=0.55)
    assert reading_of([doubtful, sure]).faces == (sure, doubtful)
    near = _face(20, x=40, score=0.9)
    assert reading_of([doubtful, sure, near]).faces[0] is near


@pytest.mark.parametrize(("x", "kept"), [(0.0, 1), (3.0, 1), (5.0, 2), (9.0, 2)])
def test_of_two_boxes_that_overlap_the_better_is_kept(x: float, kept: int) -> None:
    better, worse = _face(10, score=0.9), _face(10, x=x, score=0.6)
    assert len(reading_of([worse, better]).faces) == kept
    assert reading_of([worse, better]).faces[0] is better
    part = Face(reader="test", box=(2.0, 2.0, 6.0, 6.0), score=0.5)  # a mouth taken for a face
    assert part not in reading_of([part, better]).faces


def test_no_face_is_an_error_that_names_the_picture() -> None:
    with pytest.raises(MienError, match=r"no face found in wall\.png"):
        reading_of([], "wall.png").face()


def test_a_face_at_a_prompt_shows_its_arrays_by_their_shape() -> None:
    face = Face("studio", (1.0, 2.0, 3.0, 4.0), 0.5, landmarks=np.zeros((478, 3), np.float32), pose=(1.0, 2.0, 3.0))
    shown = "box=(1.0, 2.0, 3.0, 4.0), score=0.5, landmarks=<[478, 3] float32>, pose=(1.0, 2.0, 3.0)"
    assert repr(face) == f"Face(reader='studio', {shown})"
    assert shown in repr(OneFace(face))
