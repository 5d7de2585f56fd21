"""A data set without a renderer: drawn faces with landmarks from the linear face, for tests of data and training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.data.schema import Sample, Template
from mien.data.shards import Entry, ShardWriter
from mien.faces.drawing import draw_landmarks
from mien.faces.linear.face import LinearFace


def write_corpus(
    folder: Path,
    people: int,
    per_person: int,
    size: int = 128,
    first: int = 0,
    templates: bool = False,
    seed: int | None = None,
) -> Path:
    """Write one shard; the picture of a person is its landmark picture on a colour of its own.

    With templates, each picture's is the same drawing on the colour's opposite. Another seed: the same people with
    other expressions and poses.
    """
    face = LinearFace.load()
    with ShardWriter(folder / "shard-00000.tar") as writer:
        for person in range(first, first + people):
            rng = np.random.default_rng(person)
            shape, colour = rng.normal(size=40) * 0.7, rng.integers(40, 200, 3)
            for picture in range(per_person):
                rng = np.random.default_rng([person, picture, *([] if seed is None else [seed])])
                coefficients = np.where(rng.random(53) < 0.1, rng.random(53), 0.0)
                pose = tuple(float(v) for v in rng.normal(size=3) * (12, 7, 4))
                points = face.landmarks(coefficients, pose=pose, shape=shape, size=size)  # type: ignore[arg-type]
                drawing = draw_landmarks(points, size).astype(int)
                image = np.clip(drawing + colour, 0, 255).astype(np.uint8)
                mask = np.zeros((size, size), np.uint8)
                mask[size // 4 : -size // 4, size // 4 : -size // 4] = 255
                sample, template = _sample(person, picture, coefficients, pose, points), None
                if templates:
                    template = np.clip(drawing + 255 - colour, 0, 255).astype(np.uint8)
                    told = Template(source="drawn", landmarks=np.round(points, 2).tolist())
                    sample = sample.model_copy(update={"template": told})
                writer.write(Entry(image, mask, sample, template))
    return folder


def _sample(person: int, picture: int, coefficients: np.ndarray, pose: tuple[float, ...], points: np.ndarray) -> Sample:
    happy = 0.6 if picture % 2 else 0.1
    return Sample.checked(
        person=person,
        picture=picture,
        caption=f"portrait of a {'smiling ' if picture % 2 else ''}person, teal background",
        coefficients=coefficients.tolist(),
        gaze=[0.0, 0.0],
        flush=0.0,
        pose=list(pose),
        landmarks=np.round(points, 2).tolist(),
        emotion={"probabilities": [1 - happy, happy, 0, 0, 0, 0, 0, 0], "valence": happy, "arousal": 0.1},
        attributes={
            "skin_tone": 0.3, "skin_band": 1, "age": 40.0, "gender": -0.5, "hair_style": "short",
            "hair_color": "brown", "hair_length": "short", "beard": "none", "glasses": "none",
            "background": "teal", "clothing": "red hoodie", "light": "light from the left",
        },
    )  # fmt: skip
