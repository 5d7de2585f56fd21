"""What frozen networks compute from a corpus, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.io import in_processes, sha256_of
from mien.training.batches import pictures_to_tensor

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.models import StudioAutoencoder

_ALL = slice(None)
_PLAIN = ("face_oval", "nose")  # landmark groups that hardly change with the expression
WEIGHTS = "diffusion_pytorch_model.safetensors"


def weights_key(folder: Path) -> str:
    """Short hash of a model folder's weights."""
    return sha256_of(folder / WEIGHTS)[:16]


@torch.no_grad()
def latents(corpus: Corpus, vae: StudioAutoencoder) -> np.ndarray:
    """Normalised latents of all pictures, float16 [N, 16, 16, 16]."""
    key = sha256_of(Path(vae.config["_name_or_path"]) / WEIGHTS)[:16]
    vae = vae.eval()

    def compute() -> np.ndarray:
        parts = [
            vae.encode(pictures_to_tensor(corpus["images"][i : i + 16])).latents.half().numpy()  # type: ignore[union-attr]
            for i in range(0, len(corpus), 16)  # small batches stay in the processor's cache
        ]
        return np.concatenate(parts)

    return corpus.cached("latents", key, compute)


@torch.no_grad()
def identity_embeddings(corpus: Corpus, folder: Path) -> np.ndarray:
    """Identity embeddings of all pictures, float16 [N, 512], from aligned crops."""
    from mien.faces.alignment import align_batch
    from mien.faces.networks import IdentityEmbedder

    def compute() -> np.ndarray:
        embedder = IdentityEmbedder.from_pretrained(folder).float().eval()
        points = training_landmarks(corpus)
        parts = []
        for start in range(0, len(corpus), 256):
            pictures = pictures_to_tensor(corpus["images"][start : start + 256])
            crops = align_batch(pictures, torch.from_numpy(points[start : start + 256]).float())
            parts.append(embedder(crops).half().numpy())
        return np.concatenate(parts)

    return corpus.cached("identity", weights_key(folder), compute)


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

    return corpus.cached("face_places", f"v1-{len(corpus)}", compute)


def landmark_pictures(corpus: Corpus) -> np.ndarray:
    """Landmark pictures uint8 [N, S, S, 3]."""

    def compute() -> np.ndarray:
        size = corpus["images"].shape[1]
        parts = np.array_split(training_landmarks(corpus), min(16, len(corpus)))
        return np.concatenate(list(in_processes(_draw, parts, [size] * len(parts))))

    return corpus.cached("landmark_pictures", f"v1-{len(corpus)}", compute)


def _draw(points: np.ndarray, size: int) -> np.ndarray:
    from mien.faces.drawing import draw_landmarks

    return np.stack([draw_landmarks(row, size, size) for row in points])


@torch.no_grad()
def expression_features(corpus: Corpus, folder: Path) -> np.ndarray:
    """Features of the frozen expression encoder for all face crops, float16 [N, tokens, width]."""
    from mien.faces.alignment import CROP, expression_matrix, warp
    from mien.faces.networks import ExpressionEncoder

    def compute() -> np.ndarray:
        encoder = ExpressionEncoder.from_pretrained(folder).float().eval()
        points = training_landmarks(corpus)
        parts = []
        for start in range(0, len(corpus), 256):
            pictures = pictures_to_tensor(corpus["images"][start : start + 256])
            crops = warp(pictures, expression_matrix(torch.from_numpy(points[start : start + 256])), CROP)
            parts.append(encoder(crops).half().numpy())
        return np.concatenate(parts)

    return corpus.cached("expression_features", weights_key(folder), compute)
