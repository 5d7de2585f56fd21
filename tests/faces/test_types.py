from __future__ import annotations

import numpy as np
import pytest

from mien.errors import MienError
from mien.faces.types import Face, NoFace, OneFace, SeveralFaces, reading_of


def _face(side: float) -> Face:
    return Face(reader="test", box=(0.0, 0.0, side, side))


def test_number_of_faces_decides_the_outcome() -> None:
    assert isinstance(reading_of([]), NoFace)
    one = reading_of([_face(3)])
    assert isinstance(one, OneFace)
    assert one.face() is one.faces[0]


def test_several_faces_give_the_largest_and_a_warning() -> None:
    reading = reading_of([_face(3), _face(9), _face(5)], "group.png")
    assert isinstance(reading, SeveralFaces)
    with pytest.warns(UserWarning, match=r"3 faces found in group\.png"):
        assert reading.face().area == 81


def test_no_face_is_an_error_that_names_the_picture() -> None:
    with pytest.raises(MienError, match=r"no face found in wall\.png"):
        reading_of([], "wall.png").face()


def test_a_face_at_a_prompt_shows_its_arrays_by_their_shape() -> None:
    face = Face("studio", (1.0, 2.0, 3.0, 4.0), 0.5, landmarks=np.zeros((478, 3), np.float32), pose=(1.0, 2.0, 3.0))
    shown = "box=(1.0, 2.0, 3.0, 4.0), score=0.5, landmarks=<[478, 3] float32>, pose=(1.0, 2.0, 3.0)"
    assert repr(face) == f"Face(reader='studio', {shown})"
    assert shown in repr(OneFace(face))
