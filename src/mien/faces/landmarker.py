"""MediaPipe's Face Landmarker without its package: the four parts of ``face_landmarker.task``, run in torch.

Detector, landmarks, blendshapes and pose are computed as the package's graph does it for still pictures
(`tests/faces/test_landmarker.py` compares the two).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.assets.first_use import find_or_fetch
from mien.assets.lookup import find_asset, how_to_get
from mien.core.modules import placed
from mien.errors import MissingAsset
from mien.faces.alignment import invert, transform_points
from mien.faces.blaze_face import OVERLAP, BlazeFace, overlap
from mien.faces.limits import LARGEST, faces_within_limits
from mien.faces.linear.expression_fit import BlendshapeNetwork
from mien.faces.mediapipe import ASSET, DETECTED, PRESENT, pose_of
from mien.faces.mediapipe_torch import DETECTOR, GEOMETRY, TorchFaceLandmarker, level_square, read_bundle, sampled
from mien.faces.metric_pose import CanonicalFace
from mien.faces.torch_tflite import tflite_graph
from mien.faces.types import Face, Picture, Reading, reading_of, rgb_array

SURE = 0.85
"""Score from which the first look is enough, and that a small part of a picture must reach (*ours*)."""
AGAIN = 0.7
"""Least score of a detection in the turned picture and in the one with a border (*ours*): a look more is a chance more
to be wrong."""
MOST = 32
"""Faces read in one picture; the most certain ones where there are more."""
AT_ONCE = 16
"""Pictures that a GPU is given at once; a processor reads one after another, which takes it as long."""


class LandmarkerReader:
    """478 landmarks, 52 blendshapes and the pose; 30 to 40 ms a face on one core.

    Args:
        model: path of ``face_landmarker.task``; None looks in ``MIEN_ASSETS`` and the cache, and fetches it once where
            there is a network.
        confidence: least score of a detection in the first look, in [0, 1]; see also `mien.faces.mediapipe.PRESENT`.
        device: where the networks run; None: a GPU where there is one.
        search: where no face is found for certain, look again turned by 90, 180 and 270 degrees, with a border (faces
            that fill the picture), and in small parts of the picture.

    Raises:
        MissingAsset: if the model is not here and cannot be fetched.
        BadInput: if the file is not that bundle.

    Example:
        >>> from mien.faces.landmarker import LandmarkerReader
        >>> reader = LandmarkerReader()  # doctest: +SKIP
        >>> reader.read(picture).face().pose  # doctest: +SKIP
        (12.3, -4.0, 1.2)
    """

    name = "mediapipe-torch"

    def __init__(
        self,
        model: Path | str | None = None,
        *,
        confidence: float = DETECTED,
        search: bool = True,
        device: str | None = None,
    ) -> None:
        path = Path(model) if model is not None else find_or_fetch(ASSET)
        if path is None:
            raise MissingAsset(f"MediaPipe's model is not here: {how_to_get(ASSET)}.")
        if not path.is_file():
            raise MissingAsset(f"MediaPipe's model is not at {path}: run  mien assets get {ASSET}  and name no path.")
        self.files = {path.name: path}
        self.confidence, self.search = confidence, search
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.at_once = AT_ONCE if self._device != "cpu" else 1
        self._detector, self._landmarker, self._canonical = _parts(path, path.stat().st_mtime_ns, self._device)

    def read(self, image: Picture, source: str = "the picture") -> Reading:
        """Read one RGB picture (PIL, or uint8 [H, W, 3])."""
        pixels = rgb_array(image)
        return reading_of(faces_within_limits(pixels, self._faces, 0, "edge"), source)

    def read_batch(self, images: Iterable[Picture]) -> list[Reading]:
        """Read several pictures; the answer has their order and number.

        On a GPU, the networks are given ``at_once`` pictures in one call. A picture whose one face is not certain at
        the first look is read by itself.
        """
        pixels = [rgb_array(image) for image in images]
        found: list[Reading | None] = [None] * len(pixels)
        if self.at_once > 1:
            for start in range(0, len(pixels), self.at_once):
                found[start : start + self.at_once] = self._at_first_look(pixels[start : start + self.at_once])
        return [self.read(one) if known is None else known for one, known in zip(pixels, found, strict=True)]

    @torch.no_grad()
    def _at_first_look(self, pixels: Sequence[NDArray[np.uint8]]) -> list[Reading | None]:
        """Readings of pictures whose one face is certain at the first look; None for the others."""
        found: list[Reading | None] = [None] * len(pixels)
        fitting = [number for number, one in enumerate(pixels) if max(one.shape[:2]) <= LARGEST]
        pictures = [self._picture(pixels[number]) for number in fitting]
        looks = self._detector(pictures, self.confidence) if pictures else []
        sure = [
            (number, picture, points[0], scores[0].item())
            for number, picture, (points, scores) in zip(fitting, pictures, looks, strict=True)
            if len(points) == 1 and (not self.search or self._is_sure(points, scores))
        ]
        if sure:
            numbers, seen, places, certain = zip(*sure, strict=True)
            for number, face in zip(numbers, self._read(seen, places, certain), strict=True):
                found[number] = None if face is None else reading_of([face])
        return found

    def _picture(self, pixels: NDArray[np.uint8]) -> Tensor:
        """A picture uint8 [H, W, 3] as [1, 3, H, W] in [-1, 1], where the networks are."""
        return torch.from_numpy(pixels.copy()).to(self._device).permute(2, 0, 1)[None].float() / 127.5 - 1

    @torch.no_grad()
    def _faces(self, pixels: NDArray[np.uint8]) -> list[Face]:
        picture = self._picture(pixels)
        for points, scores in self._detections(picture):
            if self.search and len(points) > 1:
                points, scores = self._crowd(picture, points, scores)
            read = [
                face
                for start in range(0, len(points), self.at_once)
                for face in self._read(
                    [picture] * len(points[start : start + self.at_once]),
                    points[start : start + self.at_once],
                    scores[start : start + self.at_once].tolist(),
                )
            ]
            faces = [face for face in read if face is not None]
            if faces:
                return faces
        return []

    def _crowd(self, picture: Tensor, points: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Detections [N, 8, 2] and scores [N] with those that are found in quarters of the picture beside them.

        Where there are several faces, each is small in the detector's 128 px, and some are too small to be seen.
        """
        for view, back in _squares(picture, 2):
            ((found, certain),) = self._detector([view], max(self.confidence, AGAIN))
            for one, score in zip(_moved(found, back), certain, strict=True):
                if overlap(one[None], points).max() < OVERLAP:
                    points, scores = torch.cat([points, one[None]]), torch.cat([scores, score[None]])
        return points[:MOST], scores[:MOST]

    def _read(
        self, pictures: Sequence[Tensor], points: Sequence[Tensor] | Tensor, scores: Sequence[float]
    ) -> list[Face | None]:
        """The faces at B detections [8, 2], each in a picture of its own; None where the landmark network sees none."""
        matrices, net = [square_matrix(one) for one in points], self._landmarker.landmark_net
        pairs = zip(pictures, matrices, strict=True)
        crops = [sampled(picture, matrix[None].to(picture.device)) for picture, matrix in pairs]
        outputs = net(torch.cat(crops))
        landmarks, presence = (outputs[name].cpu() for name in net.outputs[:2])
        present = presence.reshape(len(crops)).sigmoid()
        places = transform_points(invert(torch.stack(matrices)), landmarks.reshape(-1, 478, 3))
        blendshapes = self._landmarker.blendshapes(places.to(self._device)).cpu().numpy()
        found: list[Face | None] = []
        for row, (picture, score) in enumerate(zip(pictures, scores, strict=True)):
            values, sure = places[row].numpy(), present[row].item()
            (x0, y0), (x1, y1) = values[:, :2].min(0).tolist(), values[:, :2].max(0).tolist()
            height, width = picture.shape[-2:]
            face = Face(
                reader=self.name,
                box=(x0, y0, x1, y1),
                score=(score * sure) ** 0.5,
                landmarks=values,
                blendshapes=blendshapes[row],
                pose=pose_of(self._canonical.matrix(values, width, height)),
            )
            found.append(None if sure < PRESENT else face)
        return found

    def _is_sure(self, points: Tensor, scores: Tensor) -> bool:
        """Whether a look found a face for certain."""
        return len(points) > 0 and bool(scores[0] >= SURE) and is_level(points[0])

    def _detections(self, picture: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Points [N, 8, 2] and scores [N] of one look at the picture after the other, the likeliest first."""
        (first,) = self._detector([picture], self.confidence)
        if not self.search or self._is_sure(*first):
            yield first[0][:MOST], first[1][:MOST]
        if not self.search:
            return
        # a face on its side or upside down is found, if at all, with its parts mistaken for others
        found = [first]
        for view, back in _turns_and_border(picture):
            ((points, scores),) = self._detector([view], max(self.confidence, AGAIN))
            if len(points) and is_level(points[0]):
                found.append((_moved(points, back), scores))
        for points, scores in sorted((one for one in found if len(one[0])), key=lambda one: -float(one[1][0])):
            yield points[:MOST], scores[:MOST]
        for parts in (2, 4):
            for view, back in _squares(picture, parts):
                ((points, scores),) = self._detector([view], max(self.confidence, SURE))
                if len(points):
                    yield _moved(points[:MOST], back), scores[:MOST]


def is_level(points: Tensor) -> bool:
    """Whether a detection's eyes [8, 2] are side by side as in an upright face, within 60 degrees."""
    along = points[3] - points[2]
    return bool(along[0] > 0.5 * along.norm())


def _moved(points: Tensor, matrix: Tensor) -> Tensor:
    """Detections [N, 8, 2] under a matrix [2, 3]; turned boxes keep their corners as corners."""
    moved = transform_points(matrix, points.flatten(0, 1)).view_as(points)
    corners = moved[:, :2]
    return torch.cat([corners.amin(1, keepdim=True), corners.amax(1, keepdim=True), moved[:, 2:]], 1)


def _turns_and_border(picture: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The picture [1, 3, H, W] turned and with a border, and matrices [2, 3] from each view's pixels to its own."""
    height, width = picture.shape[-2:]
    yield picture.rot90(1, (-2, -1)), torch.tensor([[0.0, -1.0, width], [1.0, 0.0, 0.0]])
    yield picture.rot90(3, (-2, -1)), torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, height]])
    yield picture.rot90(2, (-2, -1)), torch.tensor([[-1.0, 0.0, width], [0.0, -1.0, height]])
    # in proportion: a border of the long side around a strip would make a square of it
    y, x = height // 3, width // 3
    padded = torch.nn.functional.pad(picture, (x, x, y, y), mode="replicate")
    yield padded, torch.tensor([[1.0, 0.0, -x], [0.0, 1.0, -y]])


def _squares(picture: Tensor, parts: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Squares of a share of the longer side, each half over the next, with their matrices [2, 3] to the picture."""
    height, width = picture.shape[-2:]
    side = max(64, max(height, width) // parts)
    for y in _starts(height, side):
        for x in _starts(width, side):
            yield picture[..., y : y + side, x : x + side], torch.tensor([[1.0, 0.0, x], [0.0, 1.0, y]])


def _starts(length: int, side: int) -> list[int]:
    """Where squares of ``side`` begin that cover a length, each half over the next."""
    last = max(0, length - side)
    count = -(-2 * last // side) + 1
    return sorted({round(last * index / max(1, count - 1)) for index in range(count)})


def square_matrix(points: Tensor) -> Tensor:
    """The matrix [2, 3] to the landmark network's square, from a detection [8, 2].

    The square has 1.5 times the box's longer side, and the line between the eyes is level in it.
    """
    return level_square(points[0], points[1], points[3] - points[2])


def blendshape_network() -> BlendshapeNetwork | None:
    """What reads blendshapes of landmarks, if the model file is here; it is not fetched."""
    path = find_asset(ASSET)
    return None if path is None else _blendshape_network(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _blendshape_network(path: Path, changed: int) -> BlendshapeNetwork:
    landmarker = _parts(path, changed, "cpu")[1]

    @torch.no_grad()
    def network(points: NDArray[np.float32]) -> NDArray[np.float32]:
        return landmarker.blendshapes(torch.from_numpy(points)).numpy()

    return network


@lru_cache(maxsize=2)
def _parts(path: Path, changed: int, device: str) -> tuple[BlazeFace, TorchFaceLandmarker, CanonicalFace]:
    """The bundle's networks and canonical face, read once a process while the file stays the same."""
    files = read_bundle(path)
    blaze = BlazeFace(tflite_graph(files[DETECTOR], f"{DETECTOR} in {path}"))
    canonical = CanonicalFace.parse(files[GEOMETRY], f"{GEOMETRY} in {path}")
    return placed(blaze, device=device), placed(TorchFaceLandmarker(files), device=device), canonical
