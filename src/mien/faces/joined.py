"""Several readers as one: the first finds the faces, the others add to them or know better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol

from mien.faces.scrfd import intersection_over_union
from mien.faces.types import Face, FaceReader, Picture, Reading, reading_of, rgb_array

SAME_FACE = 0.3
"""Least intersection over union of two readers' boxes of one face (*ours*: one frames the skull, one the landmarks)."""

_OWN = ("reader", "box", "score", "told_by")


class Addition(Protocol):
    """What reads something of a face that others have found."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def files(self) -> Mapping[str, Path]:
        """Name -> what it reads with."""
        ...

    def add(self, picture: Picture, face: Face) -> Mapping[str, Any]:
        """Fields of `Face` that it tells of this one, for a picture uint8 [H, W, 3]."""
        ...


class JoinedReader:
    """A `FaceReader` of several.

    Args:
        first: finds the faces.
        others: asked in order; what one tells takes the place of what was read before. A reader among them speaks about
            a face where it finds one at the same place.
    """

    def __init__(self, first: FaceReader, others: Sequence[FaceReader | Addition]) -> None:
        self._first, self._others = first, others
        self.name = "+".join(one.name for one in (first, *others))
        self.files: dict[str, Path] = {}
        for one in (first, *others):
            self.files |= getattr(one, "files", {})

    def read(self, image: Picture, source: str = "the picture") -> Reading:
        """Read one RGB picture (PIL, or uint8 [H, W, 3])."""
        pixels = rgb_array(image)
        faces = list(self._first.read(pixels, source).faces)
        told = [dict.fromkeys(_additions_of(face), self._first.name) for face in faces]
        for other in self._others if faces else ():
            if isinstance(other, FaceReader):
                found = other.read(pixels, source).faces
                additions = [_additions_of(best) if (best := same_face(face, found)) else {} for face in faces]
            else:
                additions = [dict(other.add(pixels, face)) for face in faces]
            faces = [replace(face, **more) for face, more in zip(faces, additions, strict=True)]
            told = [known | dict.fromkeys(more, other.name) for known, more in zip(told, additions, strict=True)]
        named = zip(faces, told, strict=True)
        return reading_of([replace(face, reader=self.name, told_by=known) for face, known in named], source)

    def read_batch(self, images: Iterable[Picture]) -> list[Reading]:
        """Read several pictures in order."""
        return [self.read(image) for image in images]


def same_face(face: Face, others: Iterable[Face]) -> Face | None:
    """The one of others that lies where a face does, None without one."""
    best = max(others, key=lambda other: intersection_over_union(face.box, other.box), default=None)
    there = best is not None and intersection_over_union(face.box, best.box) >= SAME_FACE
    return best if there else None


def _additions_of(face: Face) -> dict[str, Any]:
    values = {one.name: getattr(face, one.name) for one in fields(face) if one.name not in _OWN}
    return {name: value for name, value in values.items() if value is not None}
