"""Reading and comparing pictures for the API."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Any

from mien.app.pictures import decode_picture, encode_base64
from mien.app.problems import FieldProblem
from mien.app.schema import ScoreBody
from mien.app.service import PortraitService
from mien.errors import MienError
from mien.faces.described import describe
from mien.faces.read import read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MASK_SIDE = 512
"""Longest side of the mask in an answer, pixels: it is drawn over a picture, not measured."""


def read_picture(text: str, service: PortraitService) -> dict[str, Any]:
    """What is read in a picture: ``size`` and ``faces``, the largest first, each as ``mien read`` prints it.

    With the landmarks, and ``mask``: the face's skin as a PNG with transparency, base64.

    Raises:
        FieldProblem: if the picture cannot be used, or shows no face.
    """
    image = decode_picture(text, "picture", service.limits, service.studio)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are several is in the answer
        outcome = read(image, service.reader).outcome
        try:
            outcome.face()
        except MienError as error:
            sentence = str(error)
            raise FieldProblem("picture", sentence[0].upper() + sentence[1:] + ".") from error
    faces = []
    for face in outcome.faces:
        mask = None if face.mask is None else encode_mask(face.mask)
        faces.append(describe(face, with_landmarks=True) | {"mask": mask})
    return {"size": list(image.size), "faces": faces}


def score_pictures(body: ScoreBody, service: PortraitService) -> dict[str, Any]:
    """See `mien.score`.

    Raises:
        FieldProblem: if a picture cannot be used, or the sides have different lengths.
    """
    from mien.evaluation.score_pictures import score

    limits = service.limits
    sides = {"reference": body.reference, "generated": body.generated}
    for field, texts in sides.items():
        if len(texts) > limits.scored:
            raise FieldProblem(field, f"Up to {limits.scored} pictures are compared at once, not {len(texts)}.")
    if len(body.reference) != len(body.generated):
        counts = f"{len(body.reference)} references and {len(body.generated)} generated pictures"
        raise FieldProblem("generated", f"There are {counts}: give as many of each.")
    pictures = {
        field: [decode_picture(text, field, limits, service.studio) for text in texts] for field, texts in sides.items()
    }
    try:
        report = score(reference=pictures["reference"], generated=pictures["generated"], reader=service.reader)
    except MienError as error:
        raise FieldProblem("generated", str(error)) from error
    return _plain(report)


def encode_mask(mask: NDArray[np.uint8]) -> str:
    """A mask [H, W] of 0 to 255 as the transparency of a white PNG, base64."""
    from PIL import Image

    alpha = Image.fromarray(mask)
    alpha.thumbnail((MASK_SIDE, MASK_SIDE))
    picture = Image.new("LA", alpha.size, (255, 0))
    picture.putalpha(alpha)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return encode_base64(stream.getvalue())


def _plain(value: Any) -> Any:
    """JSON has no NaN: it becomes null."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
