"""A picture with the face that was read in it, and what is made of the two: crops, embeddings, attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mien.errors import BadInput

CLIP_SIDE = 224
"""Side in pixels of the pictures that the published image encoders read."""

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from mien.faces.studio import StudioReader
    from mien.faces.types import Face, Picture, Reading


class Reads(Protocol):
    """What is needed of a `mien.faces.FaceReader`."""

    @property
    def read(self) -> Callable[[Picture, str], Reading]:
        """Picture and its name for messages -> what was found."""
        ...


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """A picture and the face that was read in it."""

    image: Image.Image
    face: Face


def embed_face(seen: DetectedFace, studio: StudioReader) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Embedding [512] and attributes of a face, independent of the detector.

    Args:
        seen: a picture with landmarks.
        studio: a `mien.faces.StudioReader`.
    """
    if seen.face.identity is not None and seen.face.reader == studio.name:  # others' embeddings mean other things
        return seen.face.identity, seen.face.attributes or {}
    return studio_embedding(seen, studio), studio.attributes(seen.image, landmarks_of(seen))


def studio_embedding(seen: DetectedFace, studio: StudioReader) -> NDArray[np.float32]:
    """Embedding [512] of L2 norm 1 of a face, by the studio's identity network, in ArcFace's framing of its landmarks.

    Args:
        seen: a picture with landmarks.
        studio: a `mien.faces.StudioReader`.

    Raises:
        BadInput: if the face's reader gives no landmarks.
    """
    import torch

    from mien.core.pixels import picture_to_tensor
    from mien.faces.alignment import arcface_matrix, crop_picture

    points = torch.from_numpy(landmarks_of(seen))
    aligned = crop_picture(seen.image, arcface_matrix(points[None])[0], studio.embedder.config["size"])
    with torch.no_grad():
        return studio.embedder(picture_to_tensor(aligned))[0].numpy()


def largest_face(reader: Reads, picture: Picture, source: str = "the picture") -> Face | None:
    """The largest face in a picture, or None.

    Args:
        reader: a `mien.faces.FaceReader`, or `FaceTools`.
        picture: PIL or uint8 [H, W, 3].
        source: its name for messages.
    """
    return next(iter(reader.read(picture, source).faces), None)


def expression_crop(seen: DetectedFace, size: int = 96, framing: str = "box") -> Tensor:
    """The face as an expression encoder wants it: float tensor [1, 3, size, size] in [-1, 1].

    Args:
        seen: the face.
        size: side of the crop in pixels, as `mien.faces.networks.expression_input` tells it of an encoder.
        framing: name of its framing, told there too.
    """
    import torch

    from mien.core.pixels import picture_to_tensor
    from mien.faces.alignment import FRAMINGS, crop_picture

    points = torch.from_numpy(landmarks_of(seen))
    return picture_to_tensor(crop_picture(seen.image, FRAMINGS[framing](points[None], size)[0], size))


def face_crop(seen: DetectedFace) -> Tensor:
    """The face in ArcFace's framing as image encoders want it: float tensor [1, 3, 224, 224] in [-1, 1]."""
    import torch

    from mien.core.pixels import picture_to_tensor
    from mien.faces.alignment import arcface_matrix, crop_picture

    points = torch.from_numpy(points_of(seen))
    return picture_to_tensor(crop_picture(seen.image, arcface_matrix(points[None], CLIP_SIDE)[0], CLIP_SIDE))


def landmarks_of(seen: DetectedFace) -> NDArray[np.float32]:
    """The face's landmarks [478, 3].

    Raises:
        BadInput: if its reader gives none.
    """
    if seen.face.landmarks is None:
        raise BadInput(f"The reader {seen.face.reader} gives no landmarks; choose another with --reader.")
    return seen.face.landmarks


def points_of(seen: DetectedFace) -> NDArray[np.float32]:
    """What ArcFace's crop is made from: the reader's own five points [5, 2], else its landmarks [478, 3].

    Raises:
        BadInput: if its reader gives neither.
    """
    return seen.face.points if seen.face.points is not None else landmarks_of(seen)
