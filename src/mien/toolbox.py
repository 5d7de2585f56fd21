"""The readers and helpers a request needs, in one place, so that tests and other bases can bring their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import BadInput, MissingAsset, MissingDependency

log = logging.getLogger(__name__)

CLIP_SIDE = 224
"""Side in pixels of the pictures that the published image encoders read."""
FULL_SIZE_PROMPT = "portrait photo of a person"
"""What a base of full size is told where the user has no words (*ours*)."""

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from mien.faces.types import Face, Reading


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture and the face that was read in it."""

    image: Image.Image
    face: Face


@dataclass(frozen=True, eq=False)
class Tools:
    """Everything that reads faces.

    Attributes:
        reader_name: resolved name of the reader ("mediapipe" or "studio").
        read: (picture, its name for messages) -> the faces in it; as a `mien.faces.FaceReader` reads.
        embed: seen -> (identity embedding [512], attributes for `describe`).
        crop: seen -> the expression encoder's input, float [1, 3, H, W] in [-1, 1].
        describe: attributes -> the prompt used when none is given.
        files: name -> model file outside the base's folder that the result depends on.
    """

    reader_name: str
    read: Callable[[Any, str], Reading]
    embed: Callable[[Seen], tuple[NDArray[np.float32], dict[str, Any]]]
    crop: Callable[[Seen], Any]
    describe: Callable[[dict[str, Any]], str]
    files: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def load(cls, base: str, reader: str) -> Tools:
        """A reader, and what a base wants for the rest: the studio's own networks, or ArcFace.

        Args:
            base: see `mien.pipelines.bases.open_base`; a folder with an identity embedder of its own reads identities
                with that.
            reader: see :func:`open_reader`.

        Raises:
            MissingDependency, MissingAsset: if the reader or the networks are not installed.
        """
        from mien.faces.studio import EMBEDDED, StudioReader
        from mien.pipelines.bases import is_small
        from mien.studio.captions import describe

        # identity tokens mean what the base was trained with: its own folder goes first
        folder = Path(base)
        own = folder if (folder / "identity").is_dir() else None
        studio = StudioReader.from_pretrained(own)
        opened = open_reader(reader, studio)
        files = dict(getattr(opened, "files", {}))
        if own is None and not is_small(base):
            return cls.of_full_size(base, opened, files)
        if own is None and base != "studio":
            files |= {f"studio/{path.relative_to(EMBEDDED)}": path for path in EMBEDDED.glob("reader/*/*.safetensors")}
            files |= {f"studio/{path.relative_to(EMBEDDED)}": path for path in EMBEDDED.glob("identity/*.safetensors")}
        return cls(
            reader_name=opened.name,
            read=opened.read,
            embed=lambda seen: identity_of(seen, studio),
            crop=expression_crop,
            describe=describe,
            files=files,
        )

    @classmethod
    def of_full_size(cls, base: str, opened: Any, files: Mapping[str, Path]) -> Tools:
        """What SD1.5, SDXL and Arc2Face are steered with.

        Args:
            base: see `mien.pipelines.bases.open_base`.
            opened: a reader of faces.
            files: its files.

        Raises:
            MissingAsset: when an identity is read, if ArcFace is not here; prompts and expressions need none.
        """
        from mien.evaluation.networks.faces import open_face_network
        from mien.pipelines.bases import arcface_file

        networks: list[Any] = []

        def embed(seen: Seen) -> tuple[NDArray[np.float32], dict[str, Any]]:
            if not networks:
                networks.append(open_face_network("arcface", arcface_file(base)))
            return networks[0]([seen.image], points_of(seen)[None])["identity"][0], {}

        # Arc2Face knows one prompt only, in which the face stands; it is put there where no words are given
        reads_prompt = base != "arc2face" and not (Path(base) / "arc2face").is_dir()
        own: dict[str, Path] = {}
        with suppress(MissingAsset):
            own["identity/arcface.onnx"] = arcface_file(base)
        return cls(
            reader_name=opened.name,
            read=opened.read,
            embed=embed,
            crop=partial(expression_crop, size=CLIP_SIDE),
            describe=lambda _: FULL_SIZE_PROMPT if reads_prompt else "",
            files={**files, **own},
        )


def identity_of(seen: Seen, studio: Any) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Embedding [512] and attributes of a face, whoever found it.

    Args:
        seen: a picture with landmarks.
        studio: a `mien.faces.StudioReader`.
    """
    if seen.face.identity is not None and seen.face.reader == studio.name:  # others' embeddings mean other things
        return seen.face.identity, seen.face.attributes or {}
    import torch

    from mien.faces.alignment import arcface_matrix, crop_picture
    from mien.pixels import picture_to_tensor

    points = torch.from_numpy(landmarks_of(seen))
    aligned = crop_picture(seen.image, arcface_matrix(points[None])[0], studio.embedder.config["size"])
    with torch.no_grad():
        embedding = studio.embedder(picture_to_tensor(aligned))[0].numpy()
    return embedding, studio.attributes(seen.image, landmarks_of(seen))


def largest_face(reader: Any, picture: Any, source: str = "the picture") -> Face | None:
    """The largest face in a picture, or None.

    Args:
        reader: a `mien.faces.FaceReader`, or `Tools`.
        picture: PIL or uint8 [H, W, 3].
        source: its name for messages.
    """
    return next(iter(reader.read(picture, source).faces), None)


def expression_crop(seen: Seen, size: int = 96) -> Any:
    """The face as the expression encoder wants it: float tensor [1, 3, size, size] in [-1, 1]."""
    import torch

    from mien.faces.alignment import crop_picture, expression_matrix
    from mien.pixels import picture_to_tensor

    points = torch.from_numpy(landmarks_of(seen))
    return picture_to_tensor(crop_picture(seen.image, expression_matrix(points[None], size)[0], size))


def face_crop(seen: Seen) -> Any:
    """The face in ArcFace's framing as image encoders want it: float tensor [1, 3, 224, 224] in [-1, 1]."""
    import torch

    from mien.faces.alignment import arcface_matrix, crop_picture
    from mien.pixels import picture_to_tensor

    points = torch.from_numpy(points_of(seen))
    return picture_to_tensor(crop_picture(seen.image, arcface_matrix(points[None], CLIP_SIDE)[0], CLIP_SIDE))


def landmarks_of(seen: Seen) -> NDArray[np.float32]:
    """The face's landmarks [478, 3].

    Raises:
        BadInput: if its reader gives none.
    """
    if seen.face.landmarks is None:
        raise BadInput(f"The reader {seen.face.reader} gives no landmarks; choose another with --reader.")
    return seen.face.landmarks


def points_of(seen: Seen) -> NDArray[np.float32]:
    """What ArcFace's crop is made from: the reader's own five points [5, 2], else its landmarks [478, 3].

    Raises:
        BadInput: if its reader gives neither.
    """
    return seen.face.points if seen.face.points is not None else landmarks_of(seen)


def open_reader(name: str, studio: Any = None) -> Any:
    """A face reader.

    Args:
        name: ``READER[+NAME...]``, see `mien.faces.names`; ``auto`` is MediaPipe where it is installed, else the
            studio's own.
        studio: a `mien.faces.StudioReader` that is already loaded.

    Raises:
        BadInput: for another name.
        MissingDependency, MissingAsset: if that reader is not installed.
    """
    from mien.faces.joined import JoinedReader
    from mien.faces.names import NETWORKS, reader_names

    first, *others = reader_names(name)
    reader = _one_reader(first, studio)
    if not others:
        return reader
    from mien.evaluation.networks.addition import NetworkAddition

    added = [NetworkAddition(other) if other in NETWORKS else _one_reader(other, studio) for other in others]
    return JoinedReader(reader, added)


def _one_reader(name: str, studio: Any) -> Any:
    from mien.faces import MediaPipeReader, StudioReader

    if name == "uniface":
        from mien.faces.uniface import UnifaceReader

        return UnifaceReader()
    if name == "antelopev2":
        from mien.faces.scrfd import ScrfdReader

        return ScrfdReader()
    if name != "studio":
        try:
            return MediaPipeReader()
        except (MissingAsset, MissingDependency) as error:
            if name == "mediapipe":
                raise
            log.info("reading faces with the studio's own network: %s", error)
    return studio or StudioReader.from_pretrained()
