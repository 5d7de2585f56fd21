"""What is read of a list of picture files: arrays with one row a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.core.progress import Advance
from mien.evaluation.networks import Networks
from mien.evaluation.networks.load import AT_ONCE, Features
from mien.evaluation.readings.arrays import READ, store
from mien.media.pictures import PictureLike, as_picture

if TYPE_CHECKING:
    from PIL import Image

    from mien.faces.studio import StudioReader
    from mien.faces.types import Face, FaceReader

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
    from mien.faces.observed import DetectedFace, embed_face

    shapes = READ | {"identity.studio": (512,), "emotion.studio": (10,)} | networks.parts()
    values = {part: np.full((len(files), *shape), np.nan) for part, shape in shapes.items()}
    whole: dict[str, list[Floats]] = {f"features.{name}": [] for name in features}
    first = 0
    for images in opened(files):
        faces = [next(iter(reading.faces), None) for reading in reader.read_batch(images)]
        there = [number for number, face in enumerate(faces) if face is not None]
        felt = _felt(studio, images, faces)
        for number in there:
            row, face = first + number, faces[number]
            assert face is not None
            store(values, row, face)
            values["identity.studio"][row] = embed_face(DetectedFace(images[number], face), studio)[0]
            if number in felt:
                values["emotion.studio"][row] = felt[number]
        rows = [first + number for number in there]
        for part, read in networks.read([images[number] for number in there], values["landmarks"][rows]).items():
            values[part][rows] = read
        for name, look in features.items():
            whole[f"features.{name}"].append(look(images))
        advance(len(images))
        first += len(images)
    return values | {name: np.concatenate(rows) for name, rows in whole.items()}


def read_sets(files: Sequence[PictureLike], features: Mapping[str, Features], advance: Advance) -> dict[str, Floats]:
    """Features [N, D] of N whole pictures, by the name of their network."""
    found: dict[str, list[Floats]] = {name: [] for name in features}
    for images in opened(files):
        for name, look in features.items():
            found[name].append(look(images))
        advance(len(images))
    return {name: np.concatenate(rows) for name, rows in found.items()}


def _felt(
    studio: StudioReader, images: Sequence[Image.Image], faces: Sequence[Face | None]
) -> dict[int, NDArray[np.float32]]:
    """Number of a picture with a face -> its emotion [10]: the reader's, else the studio's."""
    found = {number: face.emotion for number, face in enumerate(faces) if face is not None}
    left = [number for number, emotion in found.items() if emotion is None]
    readings = studio.read_batch([images[number] for number in left]) if left else []
    for number, reading in zip(left, readings, strict=True):
        found[number] = reading.faces[0].emotion if reading.faces else None
    return {number: emotion for number, emotion in found.items() if emotion is not None}


def opened(files: Sequence[PictureLike]) -> Iterator[list[Image.Image]]:
    """Pictures (PIL), `AT_ONCE` at a time."""
    for start in range(0, len(files), AT_ONCE):
        yield [as_picture(picture) for picture in files[start : start + AT_ONCE]]
