"""What frozen networks compute from a corpus, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mien.core.io import sha256_of
from mien.core.pixels import pictures_to_tensor
from mien.core.processes import in_processes
from mien.data.restyle import restyle
from mien.errors import MissingAsset
from mien.pipelines.autoencoders import encode_pictures
from mien.pipelines.features import expression_features as encoded
from mien.training.resident import Resident

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

_ALL = slice(None)
_PLAIN = ("face_oval", "nose")  # landmark groups that hardly change with the expression
ARCFACE_SIZE = 112
KEPT_SIZE = 128
"""Largest side of landmark pictures that are all kept in memory."""
WEIGHTS = ("diffusion_pytorch_model.safetensors", "model.safetensors")
"""What diffusers and transformers call a model's weights."""


def weights_key(folder: Path) -> str:
    """Short hash of a model's weights: of one file, or of the safetensors file in a folder.

    Raises:
        MissingAsset: if there is none in the folder.
    """
    files = [folder] if folder.is_file() else [folder / name for name in WEIGHTS if (folder / name).is_file()]
    if not files:
        raise MissingAsset(f"{folder} has no {' or '.join(WEIGHTS)}: give a folder that save_pretrained wrote.")
    return sha256_of(files[0])[:16]


@torch.no_grad()
def latents(
    corpus: Corpus, vae: Any, folder: Path, size: int, style: str | None = None, *, beside: bool = False
) -> np.ndarray:
    """Latents of all pictures as the UNet sees them, float16 [N, C, h, w].

    Args:
        corpus: the pictures.
        vae: the base's autoencoder.
        folder: where it came from.
        size: side of the pictures that the base draws; others are resampled.
        style: the pictures are brought into this style first (`mien.data.restyle`).
        beside: keep them beside those of another size, instead of in their place.
    """
    own, device = corpus["images"].shape[1] == size, _device()
    count = 16 if device == "cpu" else 256  # small batches stay in a processor's cache
    vae = vae.eval().to(device)

    def encoded(rows: slice) -> np.ndarray:
        images = corpus["images"][rows]
        pictures = pictures_to_tensor(images if style is None else restyle(images, style))
        if not own:
            pictures = torch.nn.functional.interpolate(pictures, size=(size, size), mode="bicubic", antialias=True)
        return encode_pictures(vae, pictures.to(device)).half().cpu().numpy()

    def compute() -> np.ndarray:
        return np.concatenate([encoded(slice(start, start + count)) for start in range(0, len(corpus), count)])

    key = weights_key(folder) + ("" if own else f"-{size}")
    name = "latents" if style is None else f"latents_{style}"  # both are kept
    return corpus.cached(f"{name}_{size}" if beside else name, key, compute)


@torch.no_grad()
def identity_embeddings(corpus: Corpus, place: Path) -> np.ndarray:
    """Identity embeddings of all pictures, float16 [N, 512], from aligned crops.

    Args:
        corpus: the pictures.
        place: folder of an `IdentityEmbedder`, or an ArcFace network as an ONNX file.
    """
    from mien.faces.alignment import align_batch

    def compute() -> np.ndarray:
        embedder, side, device = _embedder(place)
        points = training_landmarks(corpus)
        parts = []
        for start in range(0, len(corpus), 256):
            pictures = pictures_to_tensor(corpus["images"][start : start + 256]).to(device)
            crops = align_batch(pictures, torch.from_numpy(points[start : start + 256]).float().to(device), side)
            parts.append(embedder(crops).half().cpu().numpy())
        return np.concatenate(parts)

    return corpus.cached("identity", weights_key(place), compute)


def portrait_embeddings(corpus: Corpus, place: Path) -> np.ndarray:
    """Identity embeddings float16 [N, 512] of each picture's portrait, or of the picture itself where it has none.

    A portrait (``mien studio portraits``) shows the same look as a photograph does, without the picture's expression
    and pose: what a user gives.

    Args:
        corpus: the pictures.
        place: see :func:`identity_embeddings`.
    """
    found, portraits = identity_embeddings(corpus, place).copy(), corpus.load_portraits()
    if portraits is None:
        return found
    rows = {key: row for row, key in enumerate(_keys(corpus))}
    for key, value in zip(_keys(portraits), identity_embeddings(portraits, place), strict=True):
        if key in rows:
            found[rows[key]] = value
    return found


def _keys(corpus: Corpus) -> list[tuple[int, int]]:
    return list(zip(corpus["person"].tolist(), corpus["picture"].tolist(), strict=True))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _embedder(place: Path) -> tuple[Callable[[torch.Tensor], torch.Tensor], int, str]:
    """Aligned crops [B, 3, S, S] in [-1, 1] -> embeddings [B, 512], L2 norm 1; S; and where crops are wanted."""
    if place.is_dir():
        from mien.faces.alignment import CROP
        from mien.faces.networks import IdentityEmbedder

        embedder: Any = IdentityEmbedder.from_pretrained(place).float().eval()
        return embedder.to(_device()), CROP, _device()
    from mien.faces.onnx import OnnxModel

    network = OnnxModel(place)

    def embed(crops: torch.Tensor) -> torch.Tensor:
        (values,) = network(crops.numpy()).values()
        return torch.nn.functional.normalize(torch.from_numpy(values), dim=-1)

    return embed, ARCFACE_SIZE, "cpu"


def training_landmarks(corpus: Corpus, rows: np.ndarray | slice = _ALL) -> np.ndarray:
    """MediaPipe's reading [N, 478, 3] where there is one, else the projected landmarks; of all or some ``rows``."""
    read = corpus["landmarks_mediapipe"][rows]
    return np.where(np.isnan(read), corpus["landmarks"][rows], read).astype(np.float32)


def face_places(corpus: Corpus, side: int = 16, *, beside: bool = False) -> np.ndarray:
    """How much of each cell of a latent is face, plus 1 where eyes, brows or lips are; float16 [N, side, side].

    Args:
        corpus: the pictures.
        side: of the latents.
        beside: see :func:`latents`.
    """

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

    key = f"v1-{len(corpus)}" + ("" if side == 16 else f"-{side}")
    return corpus.cached(f"face_places_{side}" if beside else "face_places", key, compute)


class LandmarkPictures:
    """Landmark pictures uint8 [B, S, S, 3] of rows [B] of a corpus: small ones drawn once, large ones when asked for.

    Args:
        corpus: the pictures.
        size: side S.
        device: where small ones are wanted.
    """

    def __init__(self, corpus: Corpus, size: int, device: torch.device) -> None:
        self.size = size
        self.points = training_landmarks(corpus) * (size / corpus["images"].shape[1])
        self._drawn = None
        if size <= KEPT_SIZE:
            self._drawn = Resident(corpus.cached("landmark_images", self._key(corpus), self._all), device)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray | torch.Tensor:
        return _draw(self.points[rows], self.size) if self._drawn is None else self._drawn[rows]

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
    """Features of the frozen expression encoder for all face crops, float16 [N, tokens, width], of CLIP [N, width].

    Args:
        corpus: the pictures.
        folder: where the encoder is: the studio's, or a CLIP vision model with its projection.
        templates: of the templates of a corpus of pairs, not of the pictures themselves.
    """
    from mien.faces.alignment import CROP
    from mien.training.bases import base_expression_encoder

    images = corpus["templates" if templates else "images"]
    points = corpus["template_landmarks"].astype(np.float32) if templates else training_landmarks(corpus)

    def compute() -> np.ndarray:
        encoder = base_expression_encoder(folder).to(_device())
        size = getattr(encoder.config, "image_size", None)  # CLIP's own; photographs are filtered on the way there
        parts = []
        for start in range(0, len(corpus), 256):
            rows = slice(start, start + 256)
            crops = _crops(images[rows], points[rows], size or CROP, filtered=size is not None)
            parts += [encoded(encoder, some.to(encoder.device)).half().cpu().numpy() for some in crops.split(64)]
        return np.concatenate(parts)

    name = "template_features" if templates else "expression_features"
    return corpus.cached(name, weights_key(folder), compute)


def _crops(images: np.ndarray, points: np.ndarray, size: int, *, filtered: bool) -> torch.Tensor:
    """The faces in pictures uint8 [B, S, S, 3] with landmarks [B, 478, 3], float [B, 3, size, size] in [-1, 1]."""
    from PIL import Image

    from mien.faces.alignment import crop_picture, expression_matrix, warp

    matrices = expression_matrix(torch.from_numpy(points), size)
    if not filtered:
        return warp(pictures_to_tensor(images), matrices, size)
    faces = [crop_picture(Image.fromarray(one), matrix, size) for one, matrix in zip(images, matrices, strict=True)]
    return pictures_to_tensor(faces)
