"""Reading faces from pictures: types, back-ends, alignment, landmark pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.core.lazy import lazy_exports

_EXPORTS = {
    "Face": ".types",
    "FaceReader": ".types",
    "MediaPipeReader": ".mediapipe",
    "NoFace": ".types",
    "OneFace": ".types",
    "Reading": ".types",
    "SeveralFaces": ".types",
    "StudioReader": ".studio",
    "default_reader": ".open",
    "draw_landmarks": ".drawing",
}

__all__ = [
    "Face",
    "FaceReader",
    "MediaPipeReader",
    "NoFace",
    "OneFace",
    "Reading",
    "SeveralFaces",
    "StudioReader",
    "default_reader",
    "draw_landmarks",
]

if TYPE_CHECKING:
    from mien.faces.drawing import draw_landmarks
    from mien.faces.mediapipe import MediaPipeReader
    from mien.faces.open import default_reader
    from mien.faces.studio import StudioReader
    from mien.faces.types import Face, FaceReader, NoFace, OneFace, Reading, SeveralFaces

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
