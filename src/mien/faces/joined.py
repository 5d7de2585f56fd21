"""Several readers as one: the first finds the faces, the others add to them or know better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mien.faces.scrfd import intersection_over_union
from mien.faces.types import Face, FaceReader, Picture, Reading, reading_of, rgb_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAME_FACE = 0.3
"""Least intersection over union of two readers' boxes of one face (*ours*: one frames the skull, one the landmarks)."""

_OWN = ("reader", "box", "score", "read_by")


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

    def add(self, pictures: Sequence[Picture], faces: Sequence[Face]) -> Sequence[Mapping[str, Any]]:
        """Fields of `Face` that it tells of each of B faces, for the picture uint8 [H, W, 3] that each is in."""
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
        return self._joined([rgb_array(image)], [self._first.read(image, source)], [source])[0]

    def read_batch(self, images: Iterable[Picture]) -> list[Reading]:
        """Read several pictures in order: each reader is given all of them, each network all of their faces."""
        pictures = [rgb_array(image) for image in images]
        return self._joined(pictures, self._first.read_batch(pictures), ["the picture"] * len(pictures))

    def _joined(
        self, pictures: Sequence[NDArray[np.uint8]], found: Sequence[Reading], sources: Sequence[str]
    ) -> list[Reading]:
        """What the first reader found, with what the others add."""
        places = [number for number, reading in enumerate(found) for _ in reading.faces]
        faces = [face for reading in found for face in reading.faces]
        readers = [dict.fromkeys(_additions_of(face), self._first.name) for face in faces]
        for other in self._others if faces else ():
            if isinstance(other, FaceReader):
                seen = sorted(set(places))
                others = dict(zip(seen, other.read_batch([pictures[place] for place in seen]), strict=True))
                same = [same_face(face, others[place].faces) for face, place in zip(faces, places, strict=True)]
                additions = [{} if one is None else _additions_of(one) for one in same]
            else:
                additions = [dict(one) for one in other.add([pictures[place] for place in places], faces)]
            faces = [replace(face, **more) for face, more in zip(faces, additions, strict=True)]
            readers = [known | dict.fromkeys(more, other.name) for known, more in zip(readers, additions, strict=True)]
        joined: list[list[Face]] = [[] for _ in pictures]
        for place, face, known in zip(places, faces, readers, strict=True):
            joined[place].append(replace(face, reader=self.name, read_by=known))
        return [reading_of(some, source) for some, source in zip(joined, sources, strict=True)]


def same_face(face: Face, others: Iterable[Face]) -> Face | None:
    """The one of others that lies where a face does, None without one."""
    best = max(others, key=lambda other: intersection_over_union(face.box, other.box), default=None)
    there = best is not None and intersection_over_union(face.box, best.box) >= SAME_FACE
    return best if there else None


def _additions_of(face: Face) -> dict[str, Any]:
    values = {one.name: getattr(face, one.name) for one in fields(face) if one.name not in _OWN}
    return {name: value for name, value in values.items() if value is not None}
