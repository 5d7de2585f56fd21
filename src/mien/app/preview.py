"""The landmark preview: which face a request would be drawn with, from what was read before, without a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.app.lines import lines_of
from mien.app.problems import WHOLE, FieldProblem, checked_request
from mien.app.schema import PreviewBody
from mien.app.service import PortraitService
from mien.errors import MienError
from mien.faces.observed import DetectedFace
from mien.faces.types import Face
from mien.generation.conditioning import wanted_landmarks
from mien.generation.request import SEVERAL, input_fields

if TYPE_CHECKING:
    from PIL import Image

SIDE = 256
"""Side of the preview where the model is not loaded yet, pixels."""


def preview_landmarks(body: PreviewBody, service: PortraitService) -> dict[str, Any]:
    """Landmarks [478][2] in pixels of a picture of ``size``, or none where words alone decide; and the lines to copy.

    The same function as for a drawing makes them, from landmarks that `read_picture` answered earlier: the server
    kept nothing.

    Raises:
        FieldProblem: for what cannot be used.
    """
    from PIL import Image

    from mien.pipelines.load import picture_size

    blank = Image.new("RGB", (32, 32))
    given = {field: [_detected(blank, points) for points in faces] for field, faces in body.faces.items() if faces}
    seen = {field: faces[0] for field, faces in given.items() if field not in SEVERAL} | {
        f"{role}-{number}": one for field, role in SEVERAL.items() for number, one in enumerate(given.get(field, ()), 2)
    }
    pictures = input_fields(dict.fromkeys(seen, blank))
    request = checked_request({"speed": "fast", **body.settings(), **pictures})
    size = picture_size(service.warm(0).pipeline) if service.ready else SIDE
    try:
        points = wanted_landmarks(request, seen, size)
    except MienError as error:
        raise FieldProblem(WHOLE, str(error)) from error
    landmarks = None if points is None else np.round(points[:, :2].astype(float), 2).tolist()
    return {"size": size, "landmarks": landmarks, **lines_of(request)}


def _detected(blank: Image.Image, points: list[list[float]]) -> DetectedFace:
    """A face of which the landmarks are all that is known; the picture was never sent here."""
    landmarks = np.asarray(points, np.float32)
    (x0, y0), (x1, y1) = landmarks[:, :2].min(0).tolist(), landmarks[:, :2].max(0).tolist()
    if min(x1 - x0, y1 - y0) < 1:
        raise FieldProblem("faces", "The landmarks of a face do not all lie in one place.")
    return DetectedFace(blank, Face("preview", (x0, y0, x1, y1), landmarks=landmarks))
