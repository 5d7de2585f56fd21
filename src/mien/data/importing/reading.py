"""From pictures to records: the face is found, squared as the base wants it, and everything known of it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.conditions import Emotion
from mien.data.importing.layouts import Item
from mien.data.importing.request import ImportRequest
from mien.data.schema import Sample, rounded
from mien.data.shards import encode_picture, encode_png
from mien.errors import MissingAsset
from mien.faces.observed import DetectedFace, embed_face, landmarks_of, points_of
from mien.faces.types import Face, FaceReader

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from mien.faces.published.networks import FaceNetwork
    from mien.faces.studio import StudioReader

CUT_OFF = 0.1
"""Share of a face's landmarks outside the picture from which it counts as cut off (*ours*)."""
LABEL = "label"
"""Who gave what a dataset itself says."""
FACE_OVAL = "face oval"
"""Who gave a mask that is the outline of the landmarks."""


@dataclass(frozen=True, eq=False)
class ImportTools:
    """What reads.

    Attributes:
        reader: finds and reads faces.
        studio: the studio's reader, for what nobody else tells.
        arcface: the base's face recognition network; None where it is not installed.
        files: name -> file of everything that reads.
    """

    reader: FaceReader
    studio: StudioReader
    arcface: FaceNetwork | None = None
    files: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def load(cls, reader: str, base: str) -> ImportTools:
        """Open a reader and the networks beside it.

        Args:
            reader: see `mien.faces.names`.
            base: whose ArcFace embeds the faces; the studio's embedder stands in where none is installed.

        Raises:
            MissingDependency, MissingAsset: if the reader is not installed.
        """
        from mien.faces.open import open_reader
        from mien.faces.published.networks import open_face_network
        from mien.faces.studio import EMBEDDED, StudioReader
        from mien.pipelines.bases import arcface_file

        studio = StudioReader.from_pretrained()
        opened = open_reader(reader, studio)
        files = dict(getattr(opened, "files", {}))
        for pattern in ("reader/*/*.safetensors", "identity/*.safetensors"):
            files |= {f"studio/{path.relative_to(EMBEDDED).as_posix()}": path for path in EMBEDDED.glob(pattern)}
        arcface = None
        with suppress(MissingAsset):
            files["arcface"] = arcface_file(base)
            arcface = open_face_network("arcface", files["arcface"])
        return cls(opened, studio, arcface, files)

    def identities(self, seen: Sequence[DetectedFace]) -> list[tuple[NDArray[np.float32], str]]:
        """Embedding [512] of each face, and the name of the network that it is from."""
        found: dict[int, tuple[NDArray[np.float32], str]] = {}
        for number, one in enumerate(seen):
            own = one.face.read_by.get("identity", one.face.reader)
            if one.face.identity is not None and own != self.studio.name:
                found[number] = one.face.identity, own
            elif self.arcface is None:
                found[number] = embed_face(one, self.studio)[0], self.studio.name
        left = [number for number in range(len(seen)) if number not in found]
        if left and self.arcface is not None:
            faces = [seen[number] for number in left]
            read = self.arcface.read_each([one.image for one in faces], [points_of(one) for one in faces])["identity"]
            found |= {number: (value, self.arcface.name) for number, value in zip(left, read, strict=True)}
        return [found[number] for number in range(len(seen))]


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a file, or of a video at a time.

    Attributes:
        item: the file.
        time: second of the video.
        image: None where it cannot be read, for ``error``.
        error: why.
    """

    item: Item
    time: float | None
    image: Image.Image | None
    error: str = ""


@dataclass(frozen=True, eq=False)
class Portrait:
    """A face that was found in a picture, or that none was.

    Attributes:
        row: of the report: file, time, number of faces in the picture, box and size of this one, the person's name, and
            ``reason`` where it is left out (else empty).
        files: ending -> content of its picture and mask, none where it is left out.
        fields: of its `Sample`, all but person and picture.
        identity: embedding [512]; None where it is left out.
    """

    row: dict[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    identity: NDArray[np.float32] | None = None

    def sample(self, person: int, picture: int) -> Sample:
        """Its record."""
        return Sample.checked(**self.fields, person=person, picture=picture)


def left_out(frame: Frame, reason: str, faces: int = 0, **more: object) -> Portrait:
    """A row without a picture."""
    return Portrait({**_row(frame, faces), **more, "reason": reason})


def _row(frame: Frame, faces: int) -> dict[str, Any]:
    return {"file": frame.item.file, "time": frame.time, "who": frame.item.who or "", "faces": faces}


def read_portraits(tools: ImportTools, request: ImportRequest, frames: Sequence[Frame]) -> list[list[Portrait]]:
    """The faces of some pictures: the largest of each, or all where the people are to be told apart.

    Args:
        tools: what reads.
        request: what is asked for.
        frames: with pictures.
    """
    readings = tools.reader.read_batch([one.image for one in frames if one.image is not None])
    found: list[list[Portrait | _Cut]] = []
    for frame, reading in zip(frames, readings, strict=True):
        faces = reading.faces if frame.item.who is None else reading.faces[:1]
        cuts = [_cut(request, frame, face, len(reading.faces)) for face in faces]
        found.append(cuts or [left_out(frame, "no face")])
    cuts = [one for some in found for one in some if isinstance(one, _Cut)]
    known, felt = tools.identities([one.seen for one in cuts]), _emotions(tools, cuts)
    portraits = {id(one): _portrait(request, one, who, mood) for one, who, mood in zip(cuts, known, felt, strict=True)}
    return [[portraits[id(one)] if isinstance(one, _Cut) else one for one in some] for some in found]


class _Cut(NamedTuple):
    """A face that is kept.

    Attributes:
        frame: where it was found.
        seen: the face in the whole picture.
        about: what the row says of it.
        matrix: [2, 3] from the picture to the crop.
        crop: the dataset's picture.
    """

    frame: Frame
    seen: DetectedFace
    about: dict[str, Any]
    matrix: Tensor
    crop: Image.Image


def _cut(request: ImportRequest, frame: Frame, face: Face, faces: int) -> Portrait | _Cut:
    """A face as the base wants it, or why it is left out."""
    from mien.faces.alignment import crop_picture

    image = frame.image
    assert image is not None
    seen = DetectedFace(image, face)
    points = landmarks_of(seen)
    x, y = points[:, 0], points[:, 1]
    outside = float(((x < 0) | (y < 0) | (x > image.width) | (y > image.height)).mean())
    side = float(max(np.ptp(x), np.ptp(y)))
    about = {"face_px": round(side, 1), "box": [round(float(value), 1) for value in face.box]}
    reason = ""
    if side < request.min_face:
        reason = "face too small"
    elif outside > CUT_OFF:
        reason = "face cut off"
    elif request.framing == "keep" and image.width != image.height:
        reason = "not square"
    if reason:
        return left_out(frame, reason, faces, **about)
    matrix = _matrix(request, seen)
    return _Cut(frame, seen, {**_row(frame, faces), **about}, matrix, crop_picture(image, matrix, request.size))


def _portrait(
    request: ImportRequest,
    cut: _Cut,
    known: tuple[NDArray[np.float32], str],
    felt: tuple[dict[str, Any] | None, str],
) -> Portrait:
    """The record of a face.

    Args:
        request: what is asked for.
        cut: the face.
        known: its embedding [512], and the network's name.
        felt: its emotion, and who says so.
    """
    from mien.faces.alignment import transform_points

    item, face = cut.frame.item, cut.seen.face
    moved = transform_points(cut.matrix, _tensor(landmarks_of(cut.seen))).numpy()
    mask, masked_by = _mask(face, cut.matrix, moved, request.size)
    (identity, known_by), (emotion, felt_by) = known, felt
    read_by = {
        "landmarks_mediapipe": face.read_by.get("landmarks", face.reader),
        "identity": known_by,
        "mask": masked_by,
    }
    read_by |= {"emotion": felt_by} if emotion is not None else {}
    for name, part in (("blendshapes_mediapipe", "blendshapes"), ("pose_mediapipe", "pose")):
        if getattr(face, part) is not None:
            read_by[name] = face.read_by.get(part, face.reader)
    fields = {
        "caption": item.caption,
        "landmarks_mediapipe": rounded(moved, 2),
        "blendshapes_mediapipe": None if face.blendshapes is None else rounded(np.clip(face.blendshapes, 0, 1), 4),
        "pose_mediapipe": None if face.pose is None else rounded(face.pose, 2),
        "emotion": emotion,
        "identity": rounded(identity, 5),
        "origin": {"file": item.file, "time": cut.frame.time, "who": item.who or "", "read_by": read_by,
                   "labels": dict(item.labels)},
    }  # fmt: skip
    files = {request.ending: encode_picture(np.asarray(cut.crop), request.ending), "mask.png": encode_png(mask)}
    return Portrait({**cut.about, "reason": ""}, files, fields, identity)


def _matrix(request: ImportRequest, seen: DetectedFace) -> Tensor:
    """The matrix [2, 3] from the picture to the dataset's."""
    import torch

    from mien.faces.alignment import studio_matrix

    if request.framing == "studio":
        return studio_matrix(_tensor(landmarks_of(seen))[None], request.size)[0]
    scale = request.size / seen.image.width
    return torch.tensor([[scale, 0.0, 0.0], [0.0, scale, 0.0]])


def _mask(face: Face, matrix: Tensor, points: NDArray[np.float32], size: int) -> tuple[NDArray[np.uint8], str]:
    """The face in the crop, uint8 [S, S], 255 inside; and who says so: a reader, or the outline of the landmarks."""
    from PIL import Image, ImageDraw

    from mien.faces.alignment import crop_picture
    from mien.faces.connections import POLYLINES

    by = face.read_by.get("mask", face.reader)
    if face.mask is not None and by != "studio":
        return np.asarray(crop_picture(Image.fromarray(face.mask), matrix, size))[..., 0].copy(), by
    mask = Image.new("L", (size, size))
    oval = [tuple(points[index, :2].tolist()) for index in POLYLINES["face_oval"][0]]
    ImageDraw.Draw(mask).polygon(oval, fill=255)
    return np.asarray(mask), FACE_OVAL


def _emotions(tools: ImportTools, cuts: Sequence[_Cut]) -> list[tuple[dict[str, Any] | None, str]]:
    """Each face's emotion, and who says so: a network of the reader's, the dataset's label, else the studio's."""
    found: list[tuple[dict[str, Any] | None, str]] = []
    for cut in cuts:
        face, labels = cut.seen.face, cut.frame.item.labels
        by = face.read_by.get("emotion", face.reader)
        if face.emotion is not None and by != tools.studio.name:
            found.append((_record(face.emotion), by))
        elif (name := labels.get("emotion")) is not None:
            found.append((_record(Emotion.of(name, min(1.0, int(labels.get("level", 3)) / 3)).vector()), LABEL))
        else:
            found.append((None, ""))
    left = [number for number, (emotion, _) in enumerate(found) if emotion is None]
    readings = tools.studio.read_batch([cuts[number].crop for number in left]) if left else []
    for number, reading in zip(left, readings, strict=True):
        if reading.faces and (emotion := reading.faces[0].emotion) is not None:
            found[number] = _record(emotion), tools.studio.name
    return found


def _record(vector: Sequence[float] | NDArray[np.float32]) -> dict[str, Any]:
    valence, arousal, *probabilities = rounded(np.clip(vector, -1, 1), 4)
    return {"valence": valence, "arousal": arousal, "probabilities": [max(0.0, one) for one in probabilities]}


def _tensor(points: NDArray[np.float32]) -> Tensor:
    import torch

    return torch.from_numpy(np.asarray(points, np.float32))
