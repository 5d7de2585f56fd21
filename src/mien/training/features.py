"""What frozen networks compute from a corpus, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.core.io import sha256_of
from mien.core.modules import placed
from mien.core.pixels import pictures_to_tensor
from mien.core.processes import in_processes
from mien.data.decoding import says_nothing
from mien.data.importing.embeddings import arcface_embeddings
from mien.data.restyle import restyle
from mien.errors import MissingAsset
from mien.pipelines.autoencoders import encode_pictures
from mien.pipelines.features import expression_features as encoded
from mien.training.resident import Resident

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.models.autoencoder import Autoencoder
    from mien.pipelines.features import ImageEncoder

_ALL = slice(None)
_PLAIN = ("face_oval", "nose")  # landmark groups that hardly change with the expression
SMALL = 16
"""Pictures that an autoencoder is given at once: they stay in a processor's cache, and in any GPU's memory."""
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
    return _digest(files[0], files[0].stat().st_mtime_ns)[:16]


@lru_cache(maxsize=64)
def _digest(file: Path, _changed: int) -> str:
    """sha256 of a file, once while it is the same."""
    return sha256_of(file)


@torch.no_grad()
def latents(
    corpus: Corpus, vae: Autoencoder, folder: Path, size: int, style: str | None = None, *, beside: bool = False
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
    torch.nn.Module.to(vae.eval(), device)

    def encoded(rows: slice) -> np.ndarray:
        images = corpus["images"][rows]
        pictures = pictures_to_tensor(images if style is None else restyle(images, style))
        if not own:
            pictures = torch.nn.functional.interpolate(pictures, size=(size, size), mode="bicubic", antialias=True)
        with fast():
            return encode_pictures(vae, pictures.to(device)).half().cpu().numpy()

    def of_rows(rows: slice) -> np.ndarray:
        return np.concatenate([encoded(part) for part in slices(rows, SMALL)])

    key = weights_key(folder) + ("" if own else f"-{size}") + precision_key()
    name = "latents" if style is None else f"latents_{style}"  # both are kept
    return corpus.computed(f"{name}_{size}" if beside else name, key, of_rows)


@torch.no_grad()
def identity_embeddings(corpus: Corpus, place: Path) -> np.ndarray:
    """Identity embeddings of all pictures, float16 [N, 512]: those that their records hold, else of aligned crops.

    Args:
        corpus: the pictures.
        place: folder of an `IdentityEmbedder`, or an ArcFace network as an ONNX file.
    """
    from mien.faces.alignment import align_batch

    @cache
    def opened() -> tuple[Callable[[torch.Tensor], torch.Tensor], int, str]:
        return _embedder(place)

    def embedded(rows: np.ndarray) -> np.ndarray:
        embedder, side, device = opened()
        pictures = pictures_to_tensor(corpus["images"][rows]).to(device)
        points = torch.from_numpy(training_landmarks(corpus, rows)).float().to(device)
        return embedder(align_batch(pictures, points, side)).half().cpu().numpy()

    told = None if place.is_dir() else arcface_embeddings(corpus, _digest(place, place.stat().st_mtime_ns))

    def of_rows(rows: slice) -> np.ndarray:
        every = np.arange(rows.start, rows.stop)
        if told is None:
            return embedded(every)
        found = told[rows].astype(np.float16)
        left = says_nothing(found)
        if left.any():
            found[left] = embedded(every[left])
        return found

    return corpus.computed("identity", weights_key(place), of_rows)


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


def slices(rows: slice, count: int = 256) -> list[slice]:
    """Rows in parts that fit into memory."""
    return [slice(start, min(start + count, rows.stop)) for start in range(rows.start, rows.stop, count)]


def fast() -> AbstractContextManager[object]:
    """What frozen networks compute features in: bfloat16 on a GPU, float32 on a processor."""
    return torch.autocast("cuda", torch.bfloat16) if _device() == "cuda" else nullcontext()


def precision_key() -> str:
    """What a column's key says of :func:`fast`; nothing for float32."""
    return "-bf16" if _device() == "cuda" else ""


def _keys(corpus: Corpus) -> list[tuple[int, int]]:
    return list(zip(corpus["person"].tolist(), corpus["picture"].tolist(), strict=True))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _embedder(place: Path) -> tuple[Callable[[torch.Tensor], torch.Tensor], int, str]:
    """Aligned crops [B, 3, S, S] in [-1, 1] -> embeddings [B, 512], L2 norm 1; S; and where crops are wanted."""
    if place.is_dir():
        from mien.faces.alignment import CROP
        from mien.faces.networks import IdentityEmbedder

        embedder = IdentityEmbedder.from_pretrained(place).float().eval()
        return placed(embedder, device=_device()), CROP, _device()
    from mien.faces.arcface_embedder import ARCFACE_SIDE, ArcFaceEmbedder

    arcface = ArcFaceEmbedder(place)
    return arcface, ARCFACE_SIDE, arcface.device


def training_landmarks(corpus: Corpus, rows: np.ndarray | slice = _ALL) -> np.ndarray:
    """MediaPipe's reading [N, 478, 3] where there is one, else the projected landmarks; of all or some ``rows``."""
    read = corpus["landmarks_mediapipe"][rows]
    return np.where(np.isnan(read), corpus["landmarks"][rows], read).astype(np.float32)


def mean_face_landmarks(corpus: Corpus) -> np.ndarray:
    """Landmarks float32 [N, 478, 3] of the mean face with each picture's expression, pose and gaze.

    In pixels of a picture of side 128 in the studio's framing.
    """
    from mien.faces.linear.face import LinearFace

    face = LinearFace.load()

    def of_rows(rows: slice) -> np.ndarray:
        columns = (corpus[name][rows].astype(float) for name in ("coefficients", "pose", "gaze"))
        return np.stack([
            face.landmarks(coefficients, tuple(pose), tuple(gaze))
            for coefficients, pose, gaze in zip(*columns, strict=True)
        ])  # fmt: skip

    return corpus.computed("mean_face_landmarks", "v1", of_rows)


def face_places(corpus: Corpus, side: int = 16, *, beside: bool = False) -> np.ndarray:
    """How much of each cell of a latent is face, plus 1 where eyes, brows or lips are; float16 [N, side, side].

    Args:
        corpus: the pictures.
        side: of the latents.
        beside: see :func:`latents`.
    """
    from mien.faces.connections import POLYLINES

    features = sorted({i for name, lines in POLYLINES.items() if name not in _PLAIN for i in sum(lines, ())})

    def of_rows(rows: slice) -> np.ndarray:
        masks = torch.from_numpy(corpus["masks"][rows])[:, None].float() / 255
        places = torch.nn.functional.adaptive_avg_pool2d(masks, side)[:, 0].numpy()
        cells = training_landmarks(corpus, rows)[:, features, :2] / corpus["images"].shape[1] * side
        x, y = np.moveaxis(cells.clip(0, side - 1).astype(np.int64), -1, 0)
        found = np.zeros_like(places)
        found[np.arange(len(places))[:, None], y, x] = 1
        return (places + found).astype(np.float16)

    key = f"v1-{len(corpus)}" + ("" if side == 16 else f"-{side}")
    return corpus.computed(f"face_places_{side}" if beside else "face_places", key, of_rows)


class LandmarkPictures:
    """Landmark pictures uint8 [B, S, S, 3] of rows [B] of a corpus: small ones drawn once, large ones when asked for.

    Args:
        corpus: the pictures.
        size: side S.
        device: where small ones are wanted.
    """

    def __init__(self, corpus: Corpus, size: int, device: torch.device) -> None:
        self.corpus, self.size = corpus, size
        self._drawn = None
        if size <= KEPT_SIZE:
            self._drawn = Resident(corpus.cached("landmark_images", self._key(corpus), self._all), device)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray | torch.Tensor:
        return landmark_pictures(self._points(rows), self.size) if self._drawn is None else self._drawn[rows]

    def _key(self, corpus: Corpus) -> str:
        return f"v1-{len(corpus)}" + ("" if corpus["images"].shape[1] == self.size else f"-{self.size}")

    def _points(self, rows: np.ndarray | slice) -> np.ndarray:
        return training_landmarks(self.corpus, rows) * (self.size / self.corpus["images"].shape[1])

    def _all(self) -> Iterator[np.ndarray]:
        parts = [self._points(rows) for rows in slices(slice(0, len(self.corpus)))]
        return in_processes(landmark_pictures, parts, [self.size] * len(parts))


def landmark_pictures(points: np.ndarray, size: int) -> np.ndarray:
    """Drawings uint8 [B, size, size, 3] of landmarks [B, 478, 2 or 3] in pixels of pictures of that side."""
    from mien.faces.drawing import draw_landmarks

    drawn = np.empty((len(points), size, size, 3), np.uint8)
    for row, picture in zip(points, drawn, strict=True):
        picture[:] = draw_landmarks(row, size, size)
    return drawn


@torch.no_grad()
def expression_features(corpus: Corpus, folder: Path, templates: bool = False) -> np.ndarray:
    """Features of the frozen expression encoder for all face crops, float16 [N, tokens, width], of CLIP [N, width].

    Args:
        corpus: the pictures.
        folder: where the encoder is: the studio's, or a CLIP vision model with its projection.
        templates: of the templates of a corpus of pairs, not of the pictures themselves.
    """
    from mien.faces.alignment import CROP
    from mien.faces.networks import expression_input
    from mien.training.bases import base_expression_encoder

    images = corpus["templates" if templates else "images"]

    def points(rows: slice) -> np.ndarray:
        return corpus["template_landmarks"][rows].astype(np.float32) if templates else training_landmarks(corpus, rows)

    @cache
    def opened() -> ImageEncoder:
        return placed(base_expression_encoder(folder), device=_device())

    def of_rows(rows: slice) -> np.ndarray:
        encoder = opened()
        # a crop of 96 px is the first encoder's, whose features were made without a filter
        given = expression_input(encoder.config)
        crops = _crops(images[rows], points(rows), **given, filtered=given["size"] > CROP)
        with fast():
            parts = [encoded(encoder, some.to(encoder.device)).half().cpu().numpy() for some in crops.split(64)]
        return np.concatenate(parts)

    name = "template_features" if templates else "expression_features"
    return corpus.computed(name, weights_key(folder) + precision_key(), of_rows)


def _crops(images: np.ndarray, points: np.ndarray, size: int, framing: str, *, filtered: bool) -> torch.Tensor:
    """The faces in pictures uint8 [B, S, S, 3] with landmarks [B, 478, 3], float [B, 3, size, size] in [-1, 1]."""
    from PIL import Image

    from mien.faces.alignment import FRAMINGS, crop_picture, warp

    matrices = FRAMINGS[framing](torch.from_numpy(points), size)
    if not filtered:
        return warp(pictures_to_tensor(images), matrices, size)
    faces = [crop_picture(Image.fromarray(one), matrix, size) for one, matrix in zip(images, matrices, strict=True)]
    return pictures_to_tensor(faces)
