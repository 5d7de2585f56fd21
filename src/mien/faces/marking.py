"""A picture with the faces that were found drawn on it: what ``mien read -o`` writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from mien.faces.types import Face

USED, OTHER, INK = (60, 230, 90), (250, 170, 50), (0, 0, 0)
"""Colours of the face that is used, of the others, and of what is written on them."""


def mark_faces(image: Image.Image, faces: Sequence[Face]) -> Image.Image:
    """A copy of a picture with box, score and landmarks of each face.

    Args:
        image: RGB.
        faces: the one that is used first, as a reading has them.
    """
    marked = image.convert("RGB")
    pen, side = ImageDraw.Draw(marked), max(image.size)
    width, font = max(1, round(side / 300)), ImageFont.load_default(max(10.0, side / 60))
    for number, face in reversed(list(enumerate(faces))):  # the one that is used lies on top
        colour = OTHER if number else USED
        radius = max(0.5, (face.box[2] - face.box[0]) / 250)
        for x, y in () if face.landmarks is None else face.landmarks[:, :2].tolist():
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        pen.rectangle(face.box, outline=colour, width=width)
        words = f"{'another' if number else 'used'}: {face.score:.2f}"
        place = pen.textbbox((face.box[0], face.box[1]), words, font, anchor="lb")
        pen.rectangle(place, fill=colour)
        pen.text((face.box[0], face.box[1]), words, INK, font, anchor="lb")
    return marked
