"""What a reader says about a picture: typed outcomes instead of index errors."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mien.errors import NoFaceFound

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face as read from one picture; what a back-end cannot tell is ``None``.

    Convention:
        Pixels of the picture that was read, x right, y down; left and right are the subject's; angles in degrees.

    Attributes:
        reader: name of the back-end, "mediapipe" or "studio", say; several with + between them.
        box: (x0, y0, x1, y1) around the landmarks, pixels.
        score: confidence in [0, 1]; 1 where the back-end gives none.
        points: [5, 2] float32 pixels, as ArcFace's template: right eye, left eye, tip of the nose, right and left
            corner of the mouth.
        landmarks: [478, 3] float32 pixels, MediaPipe topology, z on the scale of x (smaller is nearer).
        blendshapes: [52] float32 in [0, 1], MediaPipe order, index 0 ``_neutral``.
        coefficients: [53] float32, the morphable model's driven coefficients.
        flame: [53] float32, FLAME's first 50 expression coefficients and the head's rotation (axis-angle, radians).
        pose: (yaw, pitch, roll); yaw + turns to the subject's left, pitch + up, roll + to the subject's left shoulder.
        emotion: [10] float32, (valence, arousal, 8 probabilities in EmoNet's order).
        identity: [512] float32, L2 norm 1.
        mask: [H, W] uint8, 255 on facial skin, the size of the picture.
        attributes: skin tone, age, gender, hair and so on, as words and numbers.
        read_by: field -> the reader that read it, where several readers were joined; else all is the reader's.

    Example:
        >>> import mien
        >>> (face,) = mien.read("me.jpg").faces
        >>> face.landmarks.shape, face.blendshapes.shape
        ((478, 3), (52,))
    """

    reader: str
    box: tuple[float, float, float, float]
    score: float = 1.0
    points: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None
    blendshapes: NDArray[np.float32] | None = None
    coefficients: NDArray[np.float32] | None = None
    flame: NDArray[np.float32] | None = None
    pose: tuple[float, float, float] | None = None
    emotion: NDArray[np.float32] | None = None
    identity: NDArray[np.float32] | None = None
    mask: NDArray[np.uint8] | None = None
    attributes: dict[str, Any] | None = field(default=None)
    read_by: Mapping[str, str] = field(default_factory=dict[str, str])

    def __repr__(self) -> str:
        """Arrays by their shape: their thousands of numbers would hide everything else."""
        shown: list[str] = []
        for one in fields(self):
            value: Any = getattr(self, one.name)
            if isinstance(value, np.ndarray):
                array = cast("NDArray[Any]", value)
                shown.append(f"{one.name}=<{list(array.shape)} {array.dtype}>")
            elif value is not None and value != {}:
                shown.append(f"{one.name}={value!r}")
        return f"Face({', '.join(shown)})"

    @property
    def area(self) -> float:
        """Area of the box, square pixels."""
        x0, y0, x1, y1 = self.box
        return max(x1 - x0, 0.0) * max(y1 - y0, 0.0)

    @property
    def prominence(self) -> float:
        """Area times the square of the score: of several faces the one with the largest is meant (*ours*)."""
        return self.area * self.score**2


@dataclass(frozen=True, slots=True)
class NoFace:
    """No face was found.

    Example:
        >>> import mien
        >>> from PIL import Image
        >>> mien.read(Image.new("RGB", (64, 64))).outcome
        NoFace(source='the picture', faces=())
    """

    source: str = "the picture"
    faces: tuple[Face, ...] = ()

    def face(self) -> Face:
        """Raise, since there is none.

        Raises:
            NoFaceFound: always.
        """
        raise NoFaceFound(
            f"no face found in {self.source}; use a picture where one face is large, lit and unobstructed"
        )


@dataclass(frozen=True, slots=True, eq=False)
class OneFace:
    """Exactly one face was found.

    Example:
        >>> import mien
        >>> outcome = mien.read("me.jpg").outcome
        >>> isinstance(outcome, mien.OneFace), outcome.source
        (True, 'me.jpg')
    """

    only: Face
    source: str = "the picture"

    @property
    def faces(self) -> tuple[Face, ...]:
        """The one face, as a tuple."""
        return (self.only,)

    def face(self) -> Face:
        """The face."""
        return self.only


@dataclass(frozen=True, slots=True, eq=False)
class SeveralFaces:
    """Several faces were found, the most prominent first.

    Example:
        >>> import mien
        >>> from PIL import Image
        >>> both = Image.new("RGB", (768, 256), "grey")
        >>> both.paste(Image.open("me.jpg"), (0, 0))
        >>> both.paste(Image.open("friend.jpg"), (512, 0))
        >>> outcome = mien.read(both, reader="studio").outcome
        >>> isinstance(outcome, mien.SeveralFaces), len(outcome.faces)
        (True, 2)
    """

    faces: tuple[Face, ...]
    source: str = "the picture"

    @property
    def largest(self) -> Face:
        """The most prominent face: see `Face.prominence`."""
        return self.faces[0]

    def face(self) -> Face:
        """The most prominent face, with a ``UserWarning`` that there are others."""
        message = (
            f"{len(self.faces)} faces found in {self.source}: the largest is used; crop the picture to choose another"
        )
        warnings.warn(message, stacklevel=2)
        return self.largest


Reading: TypeAlias = NoFace | OneFace | SeveralFaces


DOUBLE = 0.6
"""Share of the smaller of two boxes that lies in the larger one, from which they are one face (*ours*)."""


def without_doubles(faces: Iterable[Face]) -> list[Face]:
    """Keep the better of any two of which one lies mostly inside the other: the same face, or a part taken for one."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda one: (-one.score, -one.area)):
        if all(_shared(face, other) < DOUBLE for other in kept):
            kept.append(face)
    return kept


def _shared(one: Face, other: Face) -> float:
    """Share of the smaller box that lies in the larger."""
    width = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    height = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    return max(width, 0.0) * max(height, 0.0) / max(min(one.area, other.area), 1e-9)


def reading_of(faces: list[Face], source: str = "the picture") -> Reading:
    """Sort faces by size and score, without doubles, and wrap them in the outcome that fits their number."""
    ordered = sorted(without_doubles(faces), key=lambda face: -face.prominence)
    if not ordered:
        return NoFace(source)
    if len(ordered) == 1:
        return OneFace(ordered[0], source)
    return SeveralFaces(tuple(ordered), source)


Picture: TypeAlias = "Image.Image | NDArray[np.uint8]"


@runtime_checkable
class FaceReader(Protocol):
    """Reads faces from pictures.

    Example:
        >>> from PIL import Image
        >>> from mien.faces import FaceReader, StudioReader
        >>> reader: FaceReader = StudioReader.from_pretrained()
        >>> [len(reading.faces) for reading in reader.read_batch([Image.open("me.jpg"), Image.open("friend.jpg")])]
        [1, 1]
    """

    name: str

    def read(self, image: Picture, source: str = "the picture") -> Reading:
        """Read one RGB picture (PIL, or uint8 [H, W, 3]); ``source`` names it in messages."""
        ...

    def read_batch(self, images: Iterable[Picture]) -> list[Reading]:
        """Read several pictures; the answer has their order and number."""
        ...


def rgb_array(image: Picture) -> NDArray[np.uint8]:
    """A PIL picture or array as contiguous uint8 [H, W, 3].

    Raises:
        ValueError: if an array is not uint8 [H, W, 3].
    """
    array = image if isinstance(image, np.ndarray) else np.asarray(image.convert("RGB"))
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"expected uint8 [H, W, 3], got {array.dtype} {list(array.shape)}")
    return np.ascontiguousarray(array)
