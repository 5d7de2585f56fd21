"""Face swappers: whose face it is changes, what the face does stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mien.core.optional import require
from mien.data.idi.defaults import STRENGTH
from mien.data.idi.draw import drawn
from mien.errors import BadInput
from mien.faces.alignment import paste
from mien.faces.connections import POLYLINES
from mien.faces.graph import whole_file
from mien.faces.observed import DetectedFace, landmarks_of
from mien.faces.onnx import OnnxModel
from mien.generation.tools import FaceTools

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline


Embeddings = NDArray[np.float32]


class Swapper(Protocol):
    """Swaps faces."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def swap(self, seen: Sequence[DetectedFace], identities: Embeddings, seeds: Sequence[int]) -> list[Image.Image]:
        """N pictures, their faces now those of identities [N, 512] (L2 norm 1)."""
        ...


@dataclass(frozen=True, eq=False)
class Redraw:
    """Our own: the face is drawn anew under another identity, from a noised copy of itself (SDEdit).

    Attributes:
        pipeline: a `PortraitPipeline` with the expression branch.
        tools: what reads faces.
        conditions: see `PairsRequest`; read in the picture itself.
        strength: share of the steps that is run: more changes the person more, and the expression too.
        options: further arguments of the pipeline.
    """

    pipeline: PortraitPipeline
    tools: FaceTools
    conditions: Sequence[str] = ("expression",)
    strength: float = STRENGTH
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = "redraw"

    def swap(self, seen: Sequence[DetectedFace], identities: Embeddings, seeds: Sequence[int]) -> list[Image.Image]:
        """See the protocol."""
        import torch

        from mien.core.pixels import pictures_to_tensor

        pictures = pictures_to_tensor([one.image for one in seen])
        regions = torch.from_numpy(np.stack([np.asarray(face_region(one, 0.0)) for one in seen])).float()
        begin = {"image": pictures, "region": regions / 255, "strength": self.strength}
        options = {**self.options, **begin}
        return drawn(self.pipeline, self.tools, seen, identities, seeds, self.conditions, options)


class OnnxSwapper:
    """A face-swapping network as an ONNX file: inputs ``target`` [1, 3, S, S] and ``source`` [1, 512].

    Two published layouts are known, told apart by S. 128: InsightFace's inswapper; pictures in [0, 1], ArcFace's crop
    with 8 more pixels on either side, and the embedding is multiplied by a matrix that the file holds as its last
    initializer. 256: ghost; pictures in [-1, 1], ArcFace's crop enlarged. Tried on files of those layouts with random
    weights, never on the published weights (which are for non-commercial use).

    Args:
        path: the file.

    Raises:
        BadInput: if the file has neither layout.
        MissingDependency: without onnxruntime, or for inswapper without onnx.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.session = path, OnnxModel(path).session
        shapes = {one.name: tuple(one.shape) for one in self.session.get_inputs()}
        if set(shapes) != {"target", "source"} or shapes["target"][-1] not in (128, 256):
            raise BadInput(
                f"{path} is no face swapper we know: its inputs should be target and source (docs/assets.md)."
            )
        self.size: int = shapes["target"][-1]
        self.name = f"onnx:{path.stem}"
        self.matrix = self._matrix(path) if self.size == 128 else None

    def swap(self, seen: Sequence[DetectedFace], identities: Embeddings, seeds: Sequence[int]) -> list[Image.Image]:
        """See the protocol; the seeds are not needed."""
        return [self._one(one, identity) for one, identity in zip(seen, identities, strict=True)]

    def _one(self, seen: DetectedFace, identity: NDArray[np.float32]) -> Image.Image:
        import torch

        from mien.faces.alignment import arcface_matrix, compose, invert, scale_and_shift, warp

        picture = seen.image.convert("RGB")
        points = torch.from_numpy(landmarks_of(seen))[None]
        if self.size == 128:
            eight = scale_and_shift(torch.ones(1), torch.tensor([[8.0, 0.0]]))
            matrix = compose(eight, arcface_matrix(points, 112))
        else:
            matrix = arcface_matrix(points, self.size)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        low, high = (0.0, 1.0) if self.size == 128 else (-1.0, 1.0)
        crop = warp(pixels, matrix, self.size) * (high - low) + low
        source = identity[None]
        if self.matrix is not None:
            source = source @ self.matrix
            source = source / np.linalg.norm(source)
        inputs = {"target": crop.numpy(), "source": source.astype(np.float32)}
        with whole_file(self.path, "a swapper"):
            swapped = torch.from_numpy(np.asarray(self.session.run(None, inputs)[0]))
        back = paste(picture, ((swapped - low) / (high - low)).clamp(0, 1), invert(matrix))
        return Image.composite(back, picture, face_region(seen, 0.03))

    @staticmethod
    def _matrix(path: Path) -> NDArray[np.float32]:
        from mien.faces.torch_onnx import onnx_network

        with onnx_network(path, extra="pairs") as network:
            read, last = require("onnx.numpy_helper", extra="pairs").to_array, network.initializer[-1:]
            found = read(last[0]) if last else np.zeros(0)
        if found.shape != (512, 512):
            raise BadInput(f"{path} lacks inswapper's 512 x 512 matrix as its last initializer; get it again.")
        return found.astype(np.float32)


def face_region(seen: DetectedFace, feather: float) -> Image.Image:
    """Mask L of the face oval; ``feather``: width of its soft edge as a share of the picture's longer side."""
    points, size = landmarks_of(seen), seen.image.size
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([tuple(points[i, :2].tolist()) for i in POLYLINES["face_oval"][0]], fill=255)
    return mask.filter(ImageFilter.GaussianBlur(feather * max(size))) if feather else mask
