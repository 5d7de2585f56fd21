"""Reading without networks: every picture that is not black shows a face, whose colour says who it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.data.importing.reading import ImportTools
from mien.faces.linear.face import LinearFace
from mien.faces.types import Face, Reading, reading_of, rgb_array


class ColourReader:
    """A face for each third of a picture, from the left, of which the middle pixel is not black."""

    name = "colours"

    def read(self, image: Any, source: str = "the picture") -> Reading:
        """See `FaceReader`."""
        pixels = rgb_array(image)
        height, width = pixels.shape[:2]
        parts = max(1, round(width / height))
        faces = []
        for part in range(parts):
            colour = pixels[height // 2, int((part + 0.5) * width / parts)].astype(int) // 16
            if colour.any():
                faces.append(self._face(colour, part * width / parts, height))
        return reading_of(faces, source)

    def read_batch(self, images: Iterable[Any]) -> list[Reading]:
        """See `FaceReader`."""
        return [self.read(image) for image in images]

    def _face(self, colour: np.ndarray, left: float, side: int) -> Face:
        rng = np.random.default_rng(colour)
        points = LinearFace.load().landmarks(np.zeros(53), size=side).astype(np.float32)
        points[:, 0] += left
        identity = rng.normal(size=512).astype(np.float32)
        emotion = np.array([0.5, 0.1, 0.2, 0.8, *[0.0] * 6], np.float32)
        (x0, y0), (x1, y1) = points[:, :2].min(0), points[:, :2].max(0)
        return Face(
            self.name, (float(x0), float(y0), float(x1), float(y1)), landmarks=points,
            blendshapes=rng.random(52).astype(np.float32), pose=(float(colour[0]), 0.0, 0.0), emotion=emotion,
            identity=(identity / np.linalg.norm(identity)).astype(np.float32),
        )  # fmt: skip


class NoStudio:
    """In the place of the studio's reader, where everything is read already."""

    name = "studio"


def fake_tools() -> ImportTools:
    return ImportTools(ColourReader(), NoStudio())  # type: ignore[arg-type]


def colour_faces(person: int, number: int, side: int) -> Image.Image:
    """A plain picture, for `tests.raw_data`; numbers change nothing, so that a person's pictures look like them."""
    colour = np.random.default_rng(person).integers(2, 15, 3) * 16 + 8
    return Image.new("RGB", (side, side), tuple(colour.tolist()))


def contents(folder: Path) -> dict[str, bytes]:
    """Name -> bytes of a dataset's files."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
