"""`mien.read`: everything that is known of the face in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast, overload

from mien.conditions import MAX_POSE, Emotion, Identity, Pose
from mien.faces.types import Face, FaceReader, NoFace, Reading, reading_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from mien.faces.studio import StudioReader
    from mien.media.pictures import PictureLike


@dataclass(frozen=True, eq=False)
class FaceReading:
    """What was read of one picture.

    The properties are those of the largest face; where there is none they raise `NoFaceFound`, where there are several
    they warn. `outcome` says which it is:

        match mien.read("me.jpg").outcome:
            case NoFace(): ...
            case OneFace(face): ...
            case SeveralFaces(faces): ...

    Attributes:
        outcome: `NoFace`, `OneFace` or `SeveralFaces`.

    Example:
        >>> import mien
        >>> face = mien.read("me.jpg")
        >>> face.landmarks.shape, face.emotion.label
        ((478, 3), 'neutral')
        >>> len(face.identity.embedding)
        512
    """

    outcome: Reading

    @property
    def faces(self) -> tuple[Face, ...]:
        """All faces, the largest first; empty where there is none."""
        return self.outcome.faces

    @property
    def face(self) -> Face:
        """The largest face.

        Raises:
            NoFaceFound: if there is none.
        """
        return self.outcome.face()

    @property
    def landmarks(self) -> NDArray[np.float32] | None:
        """[478, 3] pixels of the picture, MediaPipe's topology; None where the reader gives none."""
        return self.face.landmarks

    @property
    def blendshapes(self) -> dict[str, float] | None:
        """Name -> [0, 1], 52 in MediaPipe's order; None where the reader gives none."""
        from mien.faces.linear.arkit import BLENDSHAPE_NAMES

        values = self.face.blendshapes
        return None if values is None else dict(zip(BLENDSHAPE_NAMES, map(float, values), strict=True))

    @property
    def pose(self) -> Pose | None:
        """Head pose in degrees, within the range of `Pose`; None where the reader gives none."""
        angles = self.face.pose
        if angles is None:
            return None
        return Pose(*(max(-limit, min(limit, angle)) for angle, limit in zip(angles, MAX_POSE, strict=True)))

    @property
    def emotion(self) -> Emotion | None:
        """Emotion classes, valence and arousal."""
        values = self.face.emotion
        if values is None:
            return None
        valence, arousal, *odds = (float(value) for value in values)
        total = sum(odds)
        return Emotion(tuple(one / total for one in odds), max(-1.0, min(1.0, valence)), max(-1.0, min(1.0, arousal)))

    @property
    def identity(self) -> Identity | None:
        """Face embedding [512] of L2 norm 1, of the network that the studio base was trained with."""
        values = self.face.identity
        return None if values is None else Identity(tuple(map(float, values)))

    @property
    def attributes(self) -> dict[str, Any]:
        """Skin tone, age, hair and so on, as words and numbers."""
        return self.face.attributes or {}


@overload
def read(picture: PictureLike, reader: str = ...) -> FaceReading: ...
@overload
def read(picture: Sequence[PictureLike], reader: str = ...) -> list[FaceReading]: ...
def read(picture: Any, reader: str = "auto") -> FaceReading | list[FaceReading]:
    """Read the face in a picture: landmarks, blendshapes, pose, emotion, identity embedding.

    What the reader does not know (MediaPipe knows no identity and no emotion) is read by the studio's networks.

    Args:
        picture: a file, PIL picture, array or tensor (`mien.media.pictures.as_picture`), or a list of them.
        reader: ``READER[+NAME...]``, see `mien.faces.names`; ``auto`` is MediaPipe where it is installed, else the
            studio's own.

    Returns:
        What was found; for a list, a list of the same order and length, whatever was found.

    Raises:
        BadInput: if a picture cannot be used, or there is no such reader.
        MissingDependency, MissingAsset: if the reader is not installed.

    Example:
        >>> import mien
        >>> face = mien.read("me.jpg")
        >>> round(face.pose.yaw / 10)
        0
        >>> len(face.blendshapes)
        52
    """
    from mien.media.pictures import as_picture, picture_name

    opened, studio = _readers(reader)
    pictures = cast("Sequence[PictureLike]", picture) if isinstance(picture, list | tuple) else [picture]
    readings = [_complete(as_picture(one), picture_name(one), opened, studio) for one in pictures]
    return readings if isinstance(picture, list | tuple) else readings[0]


@lru_cache(maxsize=1)
def _readers(name: str) -> tuple[FaceReader, StudioReader]:
    """The reader, and the studio's for what it does not know; the last one stays loaded."""
    from mien.faces.open import open_reader
    from mien.faces.studio import StudioReader

    studio = StudioReader.from_pretrained()
    return open_reader(name, studio), studio


def _complete(image: Image.Image, source: str, reader: FaceReader, studio: StudioReader) -> FaceReading:
    """A reading with the studio's identity, attributes, emotion and mask where the reader gives none."""
    from mien.faces.joined import same_face
    from mien.faces.observed import DetectedFace, embed_face

    reading = reader.read(image, source)
    if isinstance(reading, NoFace):
        return FaceReading(reading)
    lacking = [face for face in reading.faces if face.emotion is None]
    others = studio.read(image, source).faces if lacking else ()
    faces: list[Face] = []
    for face in reading.faces:
        more: dict[str, Any] = {}
        if face.identity is None and face.landmarks is not None:
            more["identity"], attributes = embed_face(DetectedFace(image, face), studio)
            more["attributes"] = face.attributes or attributes
        if face.emotion is None and (other := same_face(face, others)) is not None:
            more["emotion"] = other.emotion
            if face.mask is None:
                more["mask"] = other.mask
        faces.append(replace(face, **more))
    return FaceReading(reading_of(faces, source))
