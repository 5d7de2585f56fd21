"""A face as JSON values: what `mien read` prints and the web API answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mien.faces.types import Face


def describe(face: Face, with_landmarks: bool) -> dict[str, Any]:
    """A face as JSON values. The identity embedding is left out: it is biometric data and of no use to a reader."""
    from mien.conditions import EMOTIONS
    from mien.faces.linear.arkit import BLENDSHAPE_NAMES

    found: dict[str, Any] = {"reader": face.reader, "score": round(face.score, 4), "box": _rounded(face.box, 1)}
    if face.points is not None:
        found["points"] = [_rounded(point, 1) for point in face.points]
    if face.pose is not None:
        found["pose"] = dict(zip(("yaw", "pitch", "roll"), _rounded(face.pose, 1), strict=True))
    if face.blendshapes is not None:
        found["blendshapes"] = dict(zip(BLENDSHAPE_NAMES, _rounded(face.blendshapes, 3), strict=True))
    if face.emotion is not None:
        valence, arousal, *probabilities = _rounded(face.emotion, 3)
        found["emotion"] = {"valence": valence, "arousal": arousal, **dict(zip(EMOTIONS, probabilities, strict=True))}
    if face.flame is not None:
        found["flame"] = {"expression": _rounded(face.flame[:50], 3), "head": _rounded(face.flame[50:], 3)}
    if face.attributes is not None:
        found["attributes"] = {
            name: round(value, 3) if isinstance(value, float) else value for name, value in face.attributes.items()
        }
    if with_landmarks and face.landmarks is not None:
        found["landmarks"] = [_rounded(point, 2) for point in face.landmarks]
    return found


def _rounded(values: Iterable[float], digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
