"""What is read of a list of picture files: arrays with one row a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.core.progress import Advance
from mien.evaluation.networks import Networks
from mien.evaluation.networks.load import Features
from mien.evaluation.readings.arrays import READ, store
from mien.media.pictures import PictureLike, as_picture, picture_name

if TYPE_CHECKING:
    from PIL import Image

    from mien.faces.studio import StudioReader
    from mien.faces.types import FaceReader

Floats = NDArray[np.float64]


def read_files(
    files: Sequence[PictureLike],
    reader: FaceReader,
    studio: StudioReader,
    networks: Networks,
    features: Mapping[str, Features],
    advance: Advance,
) -> dict[str, Floats]:
    """Readings of N pictures by part, NaN where no face was found; ``features.NAME`` [N, D] of whole pictures."""
    from mien.faces.observed import DetectedFace, embed_face, largest_face

    shapes = READ | {"identity.studio": (512,), "emotion.studio": (10,)} | networks.parts()
    values = {part: np.full((len(files), *shape), np.nan) for part, shape in shapes.items()}
    whole: dict[str, list[Floats]] = {f"features.{name}": [] for name in features}
    for row, image in enumerate(opened(files)):
        face = largest_face(reader, image, picture_name(files[row]))
        if face is not None:
            store(values, row, face)
            values["identity.studio"][row] = embed_face(DetectedFace(image, face), studio)[0]
            felt = face if face.emotion is not None else largest_face(studio, image)
            if felt is not None:
                values["emotion.studio"][row] = felt.emotion
            for part, read in networks.read([image], values["landmarks"][row : row + 1]).items():
                values[part][row] = read[0]
        for name, look in features.items():
            whole[f"features.{name}"].append(look(image))
        advance(1)
    return values | {name: np.concatenate(rows) for name, rows in whole.items()}


def opened(files: Sequence[PictureLike]) -> Iterator[Image.Image]:
    """Pictures (PIL), one after the other."""
    return (as_picture(picture) for picture in files)
