"""What frozen networks compute from a corpus, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mien.data.restyle import restyle
from mien.io import in_processes, sha256_of
from mien.pipelines.autoencoders import encode_pictures
from mien.pixels import pictures_to_tensor

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

_ALL = slice(None)
_PLAIN = ("face_oval", "nose")  # landmark groups that hardly change with the expression
ARCFACE_SIZE = 112
KEPT_SIZE = 128
"""Largest side of landmark pictures that are all kept in memory."""
WEIGHTS = "diffusion_pytorch_model.safetensors"


def weights_key(folder: Path) -> str:
    """Short hash of a model's weights: of one file, or of the safetensors file in a folder."""
    file = folder if folder.is_file() else folder / WEIGHTS
    return sha256_of(file)[:16]


@torch.no_grad()
def latents(corpus: Corpus, vae: Any, folder: Path, size: int, style: str | None = None) -> np.ndarray:
    """Latents of all pictures as the UNet sees them, float16 [N, C, h, w].

    Args:
        corpus: the pictures.
        vae: the base's autoencoder.
        folder: where it came from.
        size: side of the pictures that the base draws; others are resampled.
        style: the pictures are brought into this style first (`mien.data.restyle`).
    """
    own = corpus["images"].shape[1] == size
    device = "cuda" if torch.cuda.is_available() else "cpu"
    vae = vae.eval().to(device)

    def encoded(rows: slice) -> np.ndarray:
        images = corpus["images"][rows]
        pictures = pictures_to_tensor(images if style is None else restyle(images, style))
        if not own:
            pictures = torch.nn.functional.interpolate(pictures, size=(size, size), mode="bicubic", antialias=True)
        return encode_pictures(vae, pictures.to(device)).half().cpu().numpy()

    def compute() -> np.ndarray:
        # small batches stay in the processor's cache
        return np.concatenate([encoded(slice(start, start + 16)) for start in range(0, len(corpus), 16)])

    key = weights_key(folder) + ("" if own else f"-{size}")
    return corpus.cached("latents" if style is None else f"latents_{style}", key, compute)  # both are kept


@torch.no_grad()
def identity_embeddings(corpus: Corpus, place: Path) -> np.ndarray:
    """Identity embeddings of all pictures, float16 [N, 512], from aligned crops.

    Args:
        corpus: the pictures.
        place: folder of an `IdentityEmbedder`, or an ArcFace network as an ONNX file.
    """
    from mien.faces.alignment import align_batch

    def compute() -> np.ndarray:
        embedder, side = _embedder(place)
        points = training_landmarks(corpus)
        parts = []
        for start in range(0, len(corpus), 256):
            pictures = pictures_to_tensor(corpus["images"][start : start + 256])
            crops = align_batch(pictures, torch.from_numpy(points[start : start + 256]).float(), side)
            parts.append(embedder(crops).half().numpy())
        return np.concatenate(parts)

    return corpus.cached("identity", weights_key(place), compute)


def _embedder(place: Path) -> tuple[Callable[[torch.Tensor], torch.Tensor], int]:
    """Aligned crops [B, 3, S, S] in [-1, 1] -> embeddings [B, 512], L2 norm 1; and S."""
    if place.is_dir():
        from mien.faces.alignment import CROP
        from mien.faces.networks import IdentityEmbedder

        return IdentityEmbedder.from_pretrained(place).float().eval(), CROP
    from mien.faces.onnx import OnnxModel

    network = OnnxModel(place)

    def embed(crops: torch.Tensor) -> torch.Tensor:
        (values,) = network(crops.numpy()).values()
        return torch.nn.functional.normalize(torch.from_numpy(values), dim=-1)

    return embed, ARCFACE_SIZE


def training_landmarks(corpus: Corpus, rows: np.ndarray | slice = _ALL) -> np.ndarray:
    """MediaPipe's reading [N, 478, 3] where there is one, else the projected landmarks; of all or some ``rows``."""
    read = corpus["landmarks_mediapipe"][rows]
    return np.where(np.isnan(read), corpus["landmarks"][rows], read).astype(np.float32)


def face_places(corpus: Corpus, side: int = 16) -> np.ndarray:
    """How much of each cell of a latent is face, plus 1 where eyes, brows or lips are; float16 [N, side, side]."""

    def compute() -> np.ndarray:
        from mien.faces.connections import POLYLINES

        features = sorted({i for name, lines in POLYLINES.items() if name not in _PLAIN for i in sum(lines, ())})
        masks = torch.from_numpy(corpus["masks"])[:, None].float() / 255
        places = torch.nn.functional.adaptive_avg_pool2d(masks, side)[:, 0].numpy()
        cells = training_landmarks(corpus)[:, features, :2] / corpus["images"].shape[1] * side
        x, y = np.moveaxis(cells.clip(0, side - 1).astype(np.int64), -1, 0)
        found = np.zeros_like(places)
        found[np.arange(len(places))[:, None], y, x] = 1
        return (places + found).astype(np.float16)

    return corpus.cached("face_places", f"v1-{len(corpus)}" + ("" if side == 16 else f"-{side}"), compute)


class LandmarkPictures:
    """Landmark pictures uint8 [B, S, S, 3] of rows [B] of a corpus: small ones drawn once, large ones when asked for.

    Args:
        corpus: the pictures.
        size: side S.
    """

    def __init__(self, corpus: Corpus, size: int) -> None:
        self.size = size
        self.points = training_landmarks(corpus) * (size / corpus["images"].shape[1])
        self.drawn = corpus.cached("landmark_pictures", self._key(corpus), self._all) if size <= KEPT_SIZE else None

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return _draw(self.points[rows], self.size) if self.drawn is None else self.drawn[rows]

    def _key(self, corpus: Corpus) -> str:
        return f"v1-{len(corpus)}" + ("" if corpus["images"].shape[1] == self.size else f"-{self.size}")

    def _all(self) -> np.ndarray:
        parts = np.array_split(self.points, min(16, len(self.points)))
        return np.concatenate(list(in_processes(_draw, parts, [self.size] * len(parts))))


def _draw(points: np.ndarray, size: int) -> np.ndarray:
    from mien.faces.drawing import draw_landmarks

    return np.stack([draw_landmarks(row, size, size) for row in points])


@torch.no_grad()
def expression_features(corpus: Corpus, folder: Path, templates: bool = False) -> np.ndarray:
    """Features of the frozen expression encoder for all face crops, float16 [N, tokens, width].

    Args:
        corpus: the pictures.
        folder: where the encoder is.
        templates: of the templates of a corpus of pairs, not of the pictures themselves.
    """
    from mien.faces.alignment import CROP, expression_matrix, warp
    from mien.faces.networks import ExpressionEncoder

    images = corpus["templates" if templates else "images"]
    points = corpus["template_landmarks"].astype(np.float32) if templates else training_landmarks(corpus)

    def compute() -> np.ndarray:
        encoder = ExpressionEncoder.from_pretrained(folder).float().eval()
        parts = []
        for start in range(0, len(corpus), 256):
            pictures = pictures_to_tensor(images[start : start + 256])
            crops = warp(pictures, expression_matrix(torch.from_numpy(points[start : start + 256])), CROP)
            parts.append(encoder(crops).half().numpy())
        return np.concatenate(parts)

    name = "template_features" if templates else "expression_features"
    return corpus.cached(name, weights_key(folder), compute)
