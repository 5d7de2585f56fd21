"""InsightFace's detector SCRFD from its ONNX file: boxes and five points, as Arc2Face and antelopev2 find faces.

Guo et al., Sample and Computation Redistribution for Efficient Face Detection, 2021. Preprocessing: RGB, the longer
side brought to 640 pixels, at the top left of a black square, (value - 127.5) / 128.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.assets import require_asset
from mien.errors import BadInput
from mien.faces.limits import faces_within_limits
from mien.faces.onnx import OnnxModel
from mien.faces.types import Face, Picture, Reading, reading_of, rgb_array

ASSET = "scrfd"
STRIDES = (8, 16, 32)
ANCHORS = 2
"""Predictions at each place of a grid."""

Box: TypeAlias = tuple[float, float, float, float]


def anchor_centres(side: int, stride: int) -> NDArray[np.float32]:
    """Where the predictions of one stride stand, [2 (side / stride)^2, 2] (x, y) pixels, row by row."""
    along = np.arange(side // stride, dtype=np.float32) * stride
    y, x = np.meshgrid(along, along, indexing="ij")
    return np.repeat(np.stack([x, y], -1).reshape(-1, 2), ANCHORS, 0)


def decode(outputs: Iterable[NDArray[Any]], side: int, threshold: float) -> tuple[NDArray[Any], ...]:
    """The network's nine outputs as boxes, scores and points of its square.

    Args:
        outputs: scores [N, 1] of each stride, then distances [N, 4] from the anchor to the left, top, right and bottom
            of the box, then distances [N, 10] to the five points; distances in strides.
        side: of the square, pixels.
        threshold: least score.

    Returns:
        Boxes [M, 4] (x0, y0, x1, y1) and points [M, 5, 2] in pixels, scores [M].

    Raises:
        ValueError: if they have other shapes.
    """
    parts = [np.asarray(output) for output in outputs]
    if len(parts) != 3 * len(STRIDES):
        raise ValueError(f"nine outputs were expected, not {len(parts)}")
    found: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for level, stride in enumerate(STRIDES):
        centres = anchor_centres(side, stride)
        shapes = ((len(centres),), (len(centres), 4), (len(centres), 5, 2))
        scores, edges, points = (parts[level + 3 * kind].reshape(shape) for kind, shape in enumerate(shapes))
        sure = scores >= threshold
        places, edges, points = centres[sure], edges[sure] * stride, points[sure] * stride
        boxes = np.concatenate([places - edges[:, :2], places + edges[:, 2:]], 1)
        for rows, values in zip(found, (boxes, places[:, None] + points, scores[sure]), strict=True):
            rows.append(values)
    boxes, points, scores = (np.concatenate(rows) for rows in found)
    return boxes, points, scores


def suppress(boxes: NDArray[Any], scores: NDArray[Any], overlap: float) -> list[int]:
    """Greedy non-maximum suppression.

    Args:
        boxes: [M, 4] (x0, y0, x1, y1).
        scores: [M].
        overlap: largest intersection over union of two boxes that both stay.

    Returns:
        Rows that stay, highest score first.
    """
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        if all(intersection_over_union(boxes[row], boxes[other]) <= overlap for other in kept):
            kept.append(row)
    return kept


def intersection_over_union(a: Box | NDArray[np.floating], b: Box | NDArray[np.floating]) -> float:
    """Of two boxes (x0, y0, x1, y1), in [0, 1]; both ends count as pixels, as in InsightFace."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return float(shared / (areas - shared))


class ScrfdReader:
    """Boxes and the five points that ArcFace's crop wants; a few tens of milliseconds a picture. No landmarks.

    Weights: InsightFace's, for non-commercial research.

    Args:
        model: path of ``scrfd_10g_bnkps.onnx``; the asset ``scrfd`` if None.
        side: of the square that the network sees, a multiple of 32.
        threshold: least score of a face (InsightFace's default).
        overlap: see `suppress` (InsightFace's default).

    Raises:
        MissingAsset: if the file is not here.
        MissingDependency: without onnxruntime.
        BadInput: if it is no ONNX file.
    """

    name = "antelopev2"
    licence = "InsightFace non-commercial research"

    def __init__(
        self, model: Path | str | None = None, *, side: int = 640, threshold: float = 0.5, overlap: float = 0.4
    ) -> None:
        path = Path(model) if model is not None else require_asset(ASSET)
        self.files = {path.name: path}
        self._network = OnnxModel(path)
        self._side, self._threshold, self._overlap = side, threshold, overlap

    def read(self, image: Picture, source: str = "the picture") -> Reading:
        """Read one RGB picture (PIL, or uint8 [H, W, 3])."""
        return reading_of(faces_within_limits(rgb_array(image), self._detect, 1 / 2, "constant"), source)

    def read_batch(self, images: Iterable[Picture]) -> list[Reading]:
        """Read several pictures in order."""
        return [self.read(image) for image in images]

    def _detect(self, pixels: NDArray[np.uint8]) -> list[Face]:
        from PIL import Image

        height, width = pixels.shape[:2]
        scale = self._side / max(height, width)
        shown = Image.fromarray(pixels).resize(
            (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR
        )
        square = np.zeros((self._side, self._side, 3), np.float32)
        square[: shown.height, : shown.width] = np.asarray(shown)
        outputs = self._network((((square - 127.5) / 128).transpose(2, 0, 1))[None].astype(np.float32))
        try:
            boxes, points, scores = decode(outputs.values(), self._side, self._threshold)
        except ValueError as error:
            raise BadInput(f"The file of {ASSET} does not tell what SCRFD does: get {ASSET} again.") from error
        faces = []
        for row in suppress(boxes, scores, self._overlap):
            x0, y0, x1, y1 = (boxes[row] / scale).tolist()
            place = (points[row] / scale).astype(np.float32)
            faces.append(Face(reader=self.name, box=(x0, y0, x1, y1), score=float(scores[row]), points=place))
        return faces
