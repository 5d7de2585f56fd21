"""What a face is to do, from one expression picture or several: blended, weaker or stronger, part by part (*ours*).

Everything happens in the 53 coefficients of the linear face, as each was fitted to its own picture, so that nobody's
face shape takes part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.faces.observed import DetectedFace, landmarks_of
from mien.generation.request import FACE_PARTS, GenerateRequest, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mien.conditions import Emotion
    from mien.faces.linear.fit import LinearFit


def wanted_expression(
    request: GenerateRequest, seen: Mapping[Role, DetectedFace], size: int, shape: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Coefficients [53] in [0, 1] and gaze (yaw, pitch) in degrees that a request's pictures and feeling ask for.

    The mean of the expression pictures by their weights, times the strength; without any, the usual look of the
    feeling, or rest. Then the parts that have a picture of their own, as it shows them; the gaze goes with the eyes.

    Args:
        request: what is asked for.
        seen: its pictures with their faces, by role.
        size: side of the picture to be drawn, pixels.
        shape: [K] of the person; None is the mean.
    """
    from mien.faces.linear.arkit import PARTS
    from mien.faces.linear.expression_fit import settled

    def shown(role: Role) -> tuple[NDArray[np.float64], tuple[float, float]]:
        fit = expression_of(seen[role], size)
        return settled(fit, framed(seen[role], size), shape), fit.gaze

    templates = [shown(role) for role in request.templates]
    if templates:
        weights = request.expression_weights or None
        blended = np.average([coefficients for coefficients, _ in templates], axis=0, weights=weights)
        coefficients = np.clip(request.expression_strength * blended, 0.0, 1.0)
        yaw, pitch = np.average([gaze for _, gaze in templates], axis=0, weights=weights)
        gaze = (float(yaw), float(pitch))
    else:
        coefficients, gaze = _look_of(request.emotion_wanted), (0.0, 0.0)
    for part in FACE_PARTS:
        if part in seen:
            own, looks = shown(part)
            coefficients[list(PARTS[part])] = own[list(PARTS[part])]
            gaze = looks if part == "eyes" else gaze
    return coefficients, gaze


def framed(seen: DetectedFace, size: int) -> NDArray[np.float32]:
    """A face's landmarks, moved and scaled but not turned, in the studio's framing of ``size`` pixels a side."""
    import torch

    from mien.faces.alignment import studio_matrix, transform_points

    points = torch.from_numpy(landmarks_of(seen))
    return transform_points(studio_matrix(points[None], size)[0], points).numpy()


def expression_of(seen: DetectedFace, size: int) -> LinearFit:
    """Coefficients, gaze and pose of a face: of its landmarks, and of its blendshapes where their network is here."""
    from mien.faces.landmarker import blendshape_network
    from mien.faces.linear.expression_fit import fit_expression

    by = seen.face.read_by.get("blendshapes", seen.face.reader)
    network = blendshape_network() if by in ("mediapipe", "mediapipe-torch") else None
    return fit_expression(framed(seen, size), seen.face.blendshapes, network)


def _look_of(emotion: Emotion | None) -> NDArray[np.float64]:
    """Coefficients [53] of the usual facial expression of an emotion; zeros for none."""
    from mien.conditions import EMOTIONS
    from mien.faces.linear.arkit import KIT_NAMES
    from mien.faces.linear.expressions import preset_expression

    if emotion is None:
        return np.zeros(len(KIT_NAMES))
    strengths = zip(EMOTIONS, emotion.probabilities, strict=True)
    return np.sum([strength * np.array(preset_expression(name).coefficients) for name, strength in strengths], axis=0)
