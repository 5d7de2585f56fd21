"""Reading faces with the package ``uniface``: SCRFD, MediaPipe's landmarks in ONNX, ArcFace R50, BiSeNet's parsing.

The package prepares pictures for its networks itself, from BGR: SCRFD at 640 pixels, the landmarks from a turned square
of 1.5 times the box at 256 pixels in [0, 1], ArcFace at 112 pixels on its template in [-1, 1], BiSeNet at 512 pixels
with ImageNet's mean and deviation. It also fetches their weights, and checks them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.optional import require
from mien.errors import BadInput, MissingAsset, first_line
from mien.faces.types import Face, Picture, Reading, reading_of, rgb_array

WEIGHTS = {
    "SCRFD": ("SCRFDWeights", "SCRFD_10G_KPS"),
    "FaceMesh": ("FaceMeshWeights", "V2_478"),
    "ArcFace": ("ArcFaceWeights", "RESNET"),
    "BiSeNet": ("ParsingWeights", "RESNET18"),
}
"""Class of the package -> enumeration of its weights and the member that is used."""

FACIAL = (1, 2, 3, 4, 5, 6, 10, 11, 12, 13)
"""BiSeNet's classes (CelebAMask-HQ) inside a face: skin, brows, eyes, glasses, nose, mouth, lips; no ears, no neck."""

MARGIN = 1.5
"""Side of the square that is parsed, in longer sides of the detector's box (*ours*: it learnt from whole heads)."""


LONGEST = 32_000
"""Pixels of a picture's side that OpenCV, with which the package cuts faces out, can address."""


class UnifaceReader:
    """Boxes, five points, 478 landmarks, ArcFace's embedding and the face's mask; no blendshapes, no pose.

    Weights: SCRFD and ArcFace are InsightFace's (non-commercial research), BiSeNet learnt from CelebAMask-HQ
    (non-commercial research), the landmarks are MediaPipe's (Apache-2.0).

    Raises:
        MissingDependency: if the package is not installed.
        MissingAsset: if its weights are not here and cannot be fetched.
    """

    name = "uniface"
    licence = "InsightFace non-commercial research; CelebAMask-HQ non-commercial research; Apache-2.0"

    def __init__(self) -> None:
        self._package = require("uniface", extra="uniface")
        constants = require("uniface.constants", extra="uniface")
        self.files: dict[str, Path] = {}
        self._networks = {kind: self._open(kind, constants) for kind in WEIGHTS}

    def _open(self, kind: str, constants: Any) -> Any:
        enumeration, member = WEIGHTS[kind]
        weights = getattr(getattr(constants, enumeration), member)
        folder = Path(self._package.get_cache_dir())
        path = folder / f"{weights.value}{Path(constants.MODEL_REGISTRY[weights].url).suffix}"
        missing = f"The weights {path.name} of uniface are not in {folder}"
        if os.environ.get("HF_HUB_OFFLINE") == "1" and not path.is_file():
            raise MissingAsset(f"{missing}, and HF_HUB_OFFLINE is set: fetch them once without it.")
        try:
            network = getattr(self._package, kind)(model_name=weights)
        except (OSError, RuntimeError) as error:  # its ConnectionError is an OSError
            raise MissingAsset(f"{missing}, or are no ONNX file: {first_line(error)}.") from error
        self.files[f"uniface/{path.name}"] = path
        return network

    def read(self, image: Picture, source: str = "the picture") -> Reading:
        """Read one RGB picture (PIL, or uint8 [H, W, 3])."""
        bgr = np.ascontiguousarray(rgb_array(image)[..., ::-1])
        if max(bgr.shape[:2]) > LONGEST:
            raise BadInput(f"{source} has a side of more than {LONGEST} pixels, which uniface cannot read: crop it.")
        found = self._networks["SCRFD"].detect(bgr)
        meshes = self._networks["FaceMesh"].predict(bgr, found)
        return reading_of([self._face(bgr, one, mesh) for one, mesh in zip(found, meshes, strict=True)], source)

    def read_batch(self, images: Iterable[Picture]) -> list[Reading]:
        """Read several pictures in order."""
        return [self.read(image) for image in images]

    def _face(self, bgr: NDArray[np.uint8], found: Any, mesh: Any) -> Face:
        x0, y0, x1, y1 = (float(value) for value in found.bbox[:4])
        points = np.asarray(found.landmarks, np.float32)
        return Face(
            reader=self.name,
            box=(x0, y0, x1, y1),
            score=float(found.confidence),
            points=points,
            landmarks=np.asarray(mesh.landmarks, np.float32),
            identity=self._networks["ArcFace"].get_normalized_embedding(bgr, points).astype(np.float32),
            mask=self._mask(bgr, (x0, y0, x1, y1)),
        )

    def _mask(self, bgr: NDArray[np.uint8], box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
        """uint8 [H, W], 255 inside the face."""
        height, width = bgr.shape[:2]
        reach = MARGIN * max(box[2] - box[0], box[3] - box[1]) / 2
        (x0, x1), (y0, y1) = (
            (max(0, round(middle - reach)), min(side, max(1, round(middle + reach))))
            for middle, side in (((box[0] + box[2]) / 2, width), ((box[1] + box[3]) / 2, height))
        )
        mask = np.zeros((height, width), np.uint8)
        crop = bgr[y0:y1, x0:x1]
        if crop.size:
            classes = self._networks["BiSeNet"].parse(np.ascontiguousarray(crop))
            mask[y0:y1, x0:x1] = np.isin(classes, FACIAL) * np.uint8(255)
        return mask
