from __future__ import annotations

import pytest

from mien.faces.linear.arkit import BLENDSHAPE_NAMES, KIT_NAMES
from mien.faces.mirror import landmark_order, name_order


@pytest.mark.parametrize("order", [landmark_order(), name_order(KIT_NAMES), name_order(BLENDSHAPE_NAMES)])
def test_mirroring_twice_changes_nothing(order: tuple[int, ...]) -> None:
    assert [order[i] for i in order] == list(range(len(order)))


def test_known_pairs() -> None:
    order = landmark_order()
    assert (order[33], order[133], order[61], order[468], order[1]) == (263, 362, 291, 473, 1)
    assert KIT_NAMES[name_order(KIT_NAMES)[KIT_NAMES.index("mouthSmile_L")]] == "mouthSmile_R"
    assert BLENDSHAPE_NAMES[name_order(BLENDSHAPE_NAMES)[BLENDSHAPE_NAMES.index("jawLeft")]] == "jawRight"


def test_mirrored_eye_is_the_other_eye() -> None:
    connections = pytest.importorskip("mediapipe.tasks.python.vision.face_landmarker").FaceLandmarksConnections
    order = landmark_order()
    left = {frozenset((order[e.start], order[e.end])) for e in connections.FACE_LANDMARKS_LEFT_EYE}
    assert left == {frozenset((e.start, e.end)) for e in connections.FACE_LANDMARKS_RIGHT_EYE}
