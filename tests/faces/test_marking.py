from __future__ import annotations

import numpy as np
from PIL import Image

from mien.faces.marking import OTHER, USED, mark_faces
from mien.faces.types import Face


def test_the_face_that_is_used_is_marked_unlike_the_others() -> None:
    image = Image.new("RGB", (300, 200), "white")
    points = np.full((478, 3), 60.0, np.float32)
    faces = [Face("test", (20, 40, 120, 160), 0.9, landmarks=points), Face("test", (180, 60, 240, 130), 0.7)]
    marked = np.asarray(mark_faces(image, faces))
    assert tuple(marked[100, 20]) == USED and tuple(marked[100, 180]) == OTHER
    assert tuple(marked[60, 60]) == USED  # a landmark
    assert (np.asarray(image) == 255).all()  # the picture itself is left alone
