"""Networks that read one face crop: identity embeddings, emotion, parameters of a face model.

Convention:
    Pictures are PIL or uint8 [H, W, 3], landmarks [B, 478, 2 or 3] in their pixels. Each network has its own crop and
    its own scale of values, written down in its layout; a number changes when either does. Crops that their authors
    take from a detector's box are taken around the landmarks here (*inferred*: the margins).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.conditions import EMOTIONS
from mien.core.modules import placed
from mien.errors import BadInput
from mien.faces.alignment import arcface_matrix, box_matrix, crop_picture

if TYPE_CHECKING:
    from mien.faces.types import Picture


Arrays = dict[str, NDArray[np.float32]]

SHAPES = {"identity": (512,), "emotion": (10,), "expression_parameters": (50,), "pose_parameters": (3,)}
"""What networks tell, and its shape; ``emotion`` is valence, arousal and eight probabilities in `EMOTIONS`' order."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_UNIT = ((0.0,) * 3, (1.0,) * 3)
_SIGNED = ((0.5,) * 3, (0.5,) * 3)
_FACENET = ((127.5 / 255,) * 3, (128 / 255,) * 3)

AFFECTNET = ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""Order of the classes in EmotiEffLib's models (alphabetical)."""


@dataclass(frozen=True)
class Layout:
    """How a published network is used.

    Attributes:
        crop: landmarks, size -> matrices, see `mien.faces.alignment`.
        size: side of the crop in pixels.
        scale: mean and standard deviation of RGB in [0, 1].
        read: its outputs by name -> arrays of `SHAPES`.
        parts: which of `SHAPES` it tells.
    """

    crop: Callable[[Tensor, int], Tensor]
    size: int
    scale: tuple[tuple[float, ...], tuple[float, ...]]
    read: Callable[[Arrays], Arrays]
    parts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FaceNetwork:
    """A network with its layout.

    Attributes:
        name: goes into the names of metrics.
        layout: how it is used.
        run: crops, scaled [B, 3, S, S] -> outputs by name.
    """

    name: str
    layout: Layout
    run: Callable[[NDArray[np.float32]], Arrays]

    def __call__(self, pictures: Sequence[Picture], landmarks: NDArray[np.floating]) -> Arrays:
        """Read faces.

        Args:
            pictures: B pictures.
            landmarks: [B, 478, 2 or 3] pixels, NaN in rows without a face, which come out as NaN.

        Returns:
            Arrays [B, ...] by the names of `SHAPES`.

        Raises:
            BadInput: if the file's outputs are not those of the published one.
        """
        found = {part: np.full((len(pictures), *SHAPES[part]), np.nan, np.float32) for part in self.layout.parts}
        there = np.isfinite(landmarks.reshape(len(pictures), -1)).all(1)
        if not there.any():
            return found
        rows = np.flatnonzero(there).tolist()
        for part, values in self.read_each([pictures[row] for row in rows], [landmarks[row] for row in rows]).items():
            found[part][rows] = values
        return found

    def read_each(self, pictures: Sequence[Picture], points: Sequence[NDArray[np.floating]]) -> Arrays:
        """Read B faces, some of which may be placed by five points [5, 2] and others by landmarks [478, 2 or 3].

        Raises:
            BadInput: see :meth:`__call__`.
        """
        outputs = self.run(np.stack([self._crop(one, place) for one, place in zip(pictures, points, strict=True)]))
        found = {part: np.empty((len(pictures), *SHAPES[part]), np.float32) for part in self.layout.parts}
        try:
            for part, values in self.layout.read(outputs).items():
                found[part][:] = values
        except (KeyError, IndexError, ValueError) as error:
            raise BadInput(
                f"{self.name} gives {', '.join(outputs)}, not what the published file does: get {self.name} again."
            ) from error
        return found

    def _crop(self, picture: Picture, landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
        """A scaled crop [3, S, S]."""
        from PIL import Image

        image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
        points = torch.from_numpy(np.asarray(landmarks, np.float32))[None]
        crop = crop_picture(image, self.layout.crop(points, self.layout.size)[0], self.layout.size)
        mean, deviation = (np.array(values, np.float32) for values in self.layout.scale)
        scaled = (np.asarray(crop, np.float32) / 255 - mean) / deviation
        return scaled.astype(np.float32).transpose(2, 0, 1)


def parse_embedding(outputs: Arrays) -> Arrays:
    """The only output, [B, 512], brought to L2 norm 1."""
    (values,) = outputs.values()
    if values.ndim != 2 or values.shape[1] != 512:
        raise ValueError("embeddings of 512 numbers were expected")
    return {"identity": values / np.linalg.norm(values, axis=1, keepdims=True).clip(1e-12)}


def emotiefflib(outputs: Arrays) -> Arrays:
    """EmotiEffLib's multi-task models: [B, 10] = eight logits, valence, arousal."""
    (values,) = outputs.values()
    return {"emotion": _emotion(values[:, 8], values[:, 9], values[:, :8], AFFECTNET)}


def emonet(outputs: Arrays) -> Arrays:
    """EmoNet: ``expression`` are eight logits in `EMOTIONS`' order, ``valence`` and ``arousal`` are not clamped."""
    valence, arousal = (outputs[name].reshape(-1) for name in ("valence", "arousal"))
    return {"emotion": _emotion(valence, arousal, outputs["expression"], EMOTIONS)}


def smirk(outputs: Arrays) -> Arrays:
    """SMIRK's encoder: 50 FLAME expression coefficients and the head's rotation (axis-angle, radians)."""
    return {
        "expression_parameters": outputs["expression_params"][:, :50],
        "pose_parameters": outputs["pose_params"][:, :3],
    }


def emoca(outputs: Arrays) -> Arrays:
    """EMOCA's encoder: 50 FLAME expression coefficients; of six numbers of pose the first three turn the head."""
    return {"expression_parameters": outputs["expcode"][:, :50], "pose_parameters": outputs["posecode"][:, :3]}


def _emotion(
    valence: NDArray[Any], arousal: NDArray[Any], logits: NDArray[Any], order: tuple[str, ...]
) -> NDArray[Any]:
    """[B, 10] from logits [B, 8] in some order."""
    if logits.ndim != 2 or logits.shape[1] != len(EMOTIONS):
        raise ValueError("eight classes were expected")
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    columns = [order.index(name) for name in EMOTIONS]
    return np.column_stack([valence, arousal, (exponentials / exponentials.sum(1, keepdims=True))[:, columns]])


def _facenet(path: Path) -> Callable[[NDArray[np.float32]], Arrays]:
    from mien.faces.published.facenet import load_facenet

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = placed(load_facenet(path), device=device)

    def run(batch: NDArray[np.float32]) -> Arrays:
        with torch.no_grad():
            return {"embedding": network(torch.from_numpy(batch).to(device)).cpu().numpy()}

    return run


def _box(margin: float) -> Callable[[Tensor, int], Tensor]:
    return partial(box_matrix, margin=margin)


LAYOUTS: Mapping[str, Layout] = {
    "arcface": Layout(arcface_matrix, 112, _SIGNED, parse_embedding, ("identity",)),
    "auraface": Layout(arcface_matrix, 112, _SIGNED, parse_embedding, ("identity",)),
    "facenet": Layout(_box(1.1), 160, _FACENET, parse_embedding, ("identity",)),
    "emotieff": Layout(_box(1.1), 224, _IMAGENET, emotiefflib, ("emotion",)),
    "emonet": Layout(_box(1.1), 256, _UNIT, emonet, ("emotion",)),
    "smirk": Layout(_box(1.4), 224, _UNIT, smirk, ("expression_parameters", "pose_parameters")),
    "emoca": Layout(_box(1.25), 224, _UNIT, emoca, ("expression_parameters", "pose_parameters")),
}
"""Name -> layout. EmoNet, SMIRK and EMOCA are published as PyTorch code with weights; their layouts are those of the
ONNX files that docs/assets.md exports."""


def open_face_network(name: str, path: Path) -> FaceNetwork:
    """A network from its file.

    Raises:
        BadInput: if the file cannot be read.
        MissingDependency: without onnxruntime, where it is needed.
    """
    from mien.faces.onnx import OnnxModel, open_recognition

    layout = LAYOUTS[name]
    if name == "facenet":
        return FaceNetwork(name, layout, _facenet(path))
    return FaceNetwork(name, layout, open_recognition(path)[0] if layout.parts == ("identity",) else OnnxModel(path))
