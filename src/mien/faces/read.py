"""`mien.read`: everything that is known of the face in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
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
        picture: as it was given; a file is opened again only where `embedding` needs its pixels.

    Example:
        >>> import mien
        >>> face = mien.read("me.jpg")
        >>> face.landmarks.shape, face.emotion.label
        ((478, 3), 'neutral')
        >>> face.embedding.shape, str(face.embedding.dtype)
        ((512,), 'float32')
    """

    outcome: Reading
    picture: PictureLike = field(repr=False)

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
        valence, arousal, *probabilities = (float(value) for value in values)
        total = sum(probabilities)
        return Emotion(
            tuple(one / total for one in probabilities), max(-1.0, min(1.0, valence)), max(-1.0, min(1.0, arousal))
        )

    @property
    def identity(self) -> Identity | None:
        """Face embedding [512] of L2 norm 1: the reader's own where it gives one, else `embedding`'s."""
        values = self.face.identity
        return None if values is None else Identity(tuple(map(float, values)))

    @cached_property
    def embedding(self) -> NDArray[np.float32]:
        """float32 [512] of L2 norm 1: who the person is, by the identity network that the bundled model was trained on.

        The same network whoever read the face, so that embeddings of different readings may be compared by their scalar
        product. Where the reader has an identity network of its own (its embedding is `identity`), this one is computed
        when it is first asked for.

        Raises:
            NoFaceFound: if there is no face.
            BadInput: if the reader gives no landmarks, or the file is no longer there.
        """
        face, studio = self.face, _studio()
        if face.identity is not None and face.read_by.get("identity", face.reader) == studio.name:
            return face.identity
        from mien.faces.observed import DetectedFace, studio_embedding
        from mien.media.pictures import as_picture

        return studio_embedding(DetectedFace(as_picture(self.picture), face), studio)

    @property
    def attributes(self) -> dict[str, Any]:
        """Skin tone, age, hair and so on, as words and numbers."""
        return self.face.attributes or {}


@overload
def read(picture: PictureLike, reader: str = ...) -> FaceReading: ...
@overload
def read(picture: Sequence[PictureLike], reader: str = ...) -> list[FaceReading]: ...
def read(picture: PictureLike | Sequence[PictureLike], reader: str = "auto") -> FaceReading | list[FaceReading]:
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

    opened = _reader(reader)
    pictures = cast("Sequence[PictureLike]", picture if isinstance(picture, list | tuple) else [picture])
    readings = [FaceReading(_complete(as_picture(one), picture_name(one), opened, _studio()), one) for one in pictures]
    return readings if isinstance(picture, list | tuple) else readings[0]


@lru_cache(maxsize=1)
def _studio() -> StudioReader:
    """The studio's networks, for what a reader does not know."""
    from mien.faces.studio import StudioReader

    return StudioReader.from_pretrained()


@lru_cache(maxsize=1)
def _reader(name: str) -> FaceReader:
    """A reader; the last one stays loaded."""
    from mien.faces.open import open_reader

    return open_reader(name, _studio())


def _complete(image: Image.Image, source: str, reader: FaceReader, studio: StudioReader) -> Reading:
    """A reading with the studio's identity, attributes, emotion and mask where the reader gives none."""
    from mien.faces.joined import same_face
    from mien.faces.observed import DetectedFace, embed_face

    reading = reader.read(image, source)
    if isinstance(reading, NoFace):
        return reading
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
        faces.append(replace(face, read_by={**face.read_by, **dict.fromkeys(more, studio.name)}, **more))
    return reading_of(faces, source)
