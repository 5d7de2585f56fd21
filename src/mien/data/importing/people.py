"""Who is who among the faces of one video: tracks from frame to frame, then clusters of tracks by their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mien.faces.scrfd import intersection_over_union

Box = tuple[float, float, float, float]

SAME_PLACE = 0.4
"""Least intersection over union of a face's boxes in two frames that follow each other in a track (*ours*)."""


@dataclass(eq=False)
class _Track:
    """One face over consecutive frames."""

    faces: list[int] = field(default_factory=list)
    frames: set[int] = field(default_factory=set)


def tell_apart(frames: Sequence[int], boxes: Sequence[Box], embeddings: NDArray[np.float32], same: float) -> list[int]:
    """The person of each of N faces, numbered in the order in which they first appear.

    A face goes on a track of the frame before where it lies at the same place and looks like it; tracks are joined by
    average linkage of their faces' cosines. Two faces of one frame are two people.

    Args:
        frames: number of each face's frame, in order.
        boxes: in pixels.
        embeddings: [N, D], L2 norm 1.
        same: least cosine of one person's faces; a matter of the network.

    Returns:
        N numbers from 0.
    """
    alike = embeddings @ embeddings.T
    tracks: list[_Track] = []
    for face, frame in enumerate(frames):
        last = max((one for one in frames[:face] if one < frame), default=None)
        near = [
            (intersection_over_union(boxes[face], boxes[track.faces[-1]]), -number)
            for number, track in enumerate(tracks)
            if frames[track.faces[-1]] == last and alike[face, track.faces[-1]] >= same
        ]
        best, number = max(near, default=(0.0, 0))
        if best < SAME_PLACE:
            tracks.append(_Track())
            number = 1 - len(tracks)
        tracks[-number].faces.append(face)
        tracks[-number].frames.add(frame)
    people = np.empty(len(frames), np.int64)
    for person, faces in enumerate(sorted(_joined(tracks, alike, same), key=min)):
        people[faces] = person
    return people.tolist()


def _joined(tracks: Sequence[_Track], alike: NDArray[np.float32], same: float) -> list[list[int]]:
    """Faces of each person: the two tracks that are most alike are joined as long as they may be one person's."""
    faces = [list(track.faces) for track in tracks]
    number = len(tracks)
    sums = np.array([[alike[np.ix_(a, b)].sum(dtype=np.float64) for b in faces] for a in faces]).reshape(number, number)
    apart = np.array([[bool(a.frames & b.frames) for b in tracks] for a in tracks], bool).reshape(number, number)
    while number > 1:
        sizes = np.array([len(one) for one in faces], np.float64)
        likeness = np.where(apart, -np.inf, sums / np.outer(sizes, sizes).clip(1))
        first, second = sorted(divmod(int(likeness.argmax()), number))
        if likeness[first, second] < same:
            break
        faces[first] += faces[second]
        sums[first] += sums[second]
        sums[:, first] += sums[:, second]
        apart[first] |= apart[second]
        apart[:, first] |= apart[:, second]
        faces[second], apart[second], apart[:, second] = [], True, True
    return [one for one in faces if one]
