"""Train the expression encoder: masked reconstruction, and a linear reading of what the renderer knows.

Reconstruction alone (SimMIM, Xie et al. 2022) keeps an expression where no linear map finds it, and an adapter reads
tokens linearly. CLIP, whose place this encoder takes, has read a caption for each of its pictures; this one is told
what the renderer could say of it: who as well as what.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.alignment import compose, expression_matrix, full_precision, transform_points, warp
from mien.faces.networks import ExpressionEncoder
from mien.faces.networks.blocks import Mixer
from mien.training.augmentation import BatchRandom, jitter_parts, mirror_matrix, photograph
from mien.training.batches import spread_rows
from mien.training.face_labels import attribute_classes, attribute_loss, label_batch, mirror_labels, turn_pose
from mien.training.features import training_landmarks
from mien.training.normalisation import recalibrate
from mien.training.objective import Logs, Objective, ObjectiveConfig

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.sources import Sources

CELL = 16
PROBED = 4096
"""Pictures that the probe of the expression is fitted to."""
_COLUMNS = {"blendshapes": "blendshapes_mediapipe"}
SCALED = {"blendshapes": 1.0, "coefficients": 1.0, "shape": 1.0, "pose": 0.3, "gaze": 0.3}
"""Labels that are read in units of their spread -> weight of the share of variance that is left."""
SHAPES = 48
NUMBERS = {
    "blendshapes": 52,
    "coefficients": 53,
    "shape": SHAPES,
    "pose": 3,
    "gaze": 2,
    "skin_tone": 1,
    "age": 1,
    "gender": 1,
}


class ExpressionConfig(ObjectiveConfig):
    """Options of :class:`ExpressionObjective`.

    Attributes:
        masked: probability that a 16 px cell is blanked, in the half of the batch that is masked at all; the other half
            makes the tokens of whole pictures, which is what the encoder will read, complete.
        augment: strength of the damage that the decoder has to undo.
        edges: weight of the differences between neighbouring pixels.
        labels: weight of the linear reading; 0 leaves it out.
    """

    masked: float = 0.5
    augment: float = 0.5
    edges: float = 1.0
    labels: float = 0.5

    def build(self, sources: Sources) -> ExpressionObjective:
        """See the base class."""
        return ExpressionObjective(self)


class ExpressionObjective(Objective):
    """Mean absolute error of the clean crop, drawn by a small decoder from the tokens of a damaged and masked one.

    Added are the errors of one linear map from all tokens to expression (MediaPipe's blendshapes and the renderer's
    coefficients), the landmarks' principal shapes in the crop, pose, gaze and the looks of the person.

    Args:
        config: the options.
    """

    part = "expression_encoder"
    config_type = ExpressionConfig
    landmark_mean: Tensor
    landmark_shapes: Tensor

    def __init__(self, config: ExpressionConfig | None = None) -> None:
        super().__init__()
        self.config = config or ExpressionConfig()
        self.net = ExpressionEncoder().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = self.net.config["features"]
        self.decoder = nn.Sequential(
            Mixer(features), Mixer(features), nn.Conv2d(features, 3 * CELL * CELL, 1), nn.PixelShuffle(CELL)
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes = attribute_classes()
        self.lengths = NUMBERS | {name: len(values) for name, values in self.classes.items()}
        cells = (self.net.config["size"] // CELL) ** 2
        self.head = nn.Linear(cells * features, sum(self.lengths.values()))
        nn.init.zeros_(self.head.weight)
        for name in SCALED:
            self.register_buffer(f"{name}_mean", torch.zeros(NUMBERS[name]))
            self.register_buffer(f"{name}_spread", torch.ones(()))
        self.register_buffer("landmark_mean", torch.zeros(478 * 2))
        self.register_buffer("landmark_shapes", torch.zeros(478 * 2, SHAPES))

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Bring the labels to a common size: their mean 0, the variances of their columns 1 in all."""
        self._find_shapes(torch.from_numpy(training_landmarks(corpus)))
        for name in set(SCALED) - {"shape"}:
            values = np.asarray(corpus[_COLUMNS.get(name, name)], np.float64)
            mean, spread = np.nanmean(values, 0), np.nanvar(values, 0).sum() ** 0.5
            for part, value in zip(self.statistics(name), (mean, spread), strict=True):
                part.copy_(torch.as_tensor(value))

    def _find_shapes(self, landmarks: Tensor) -> None:
        """Principal shapes of landmarks [N, 478, 3] in the crop; each direction counts the same, faint ones too."""
        flat = transform_points(expression_matrix(landmarks, 1), landmarks[..., :2]).flatten(1)
        mean = flat.mean(0)
        rank = min(SHAPES, len(flat))
        _, values, directions = torch.pca_lowrank(flat - mean, q=rank, center=False, niter=3)
        self.landmark_mean.copy_(mean)
        self.landmark_shapes[:, :rank] = directions * (len(flat) ** 0.5 / values.clamp_min(1e-6)) / SHAPES**0.5

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures with their landmarks and labels."""
        rows = rng.integers(0, len(corpus), size)
        return label_batch(corpus, rows, self.classes) | {
            "images": torch.from_numpy(corpus["images"][rows]),
            "landmarks": torch.from_numpy(training_landmarks(corpus, rows)),
            "blendshapes": torch.from_numpy(corpus["blendshapes_mediapipe"][rows].astype(np.float32)),
        }

    @full_precision
    def _crops(self, batch: dict[str, Tensor], batch_rng: BatchRandom) -> tuple[Tensor, dict[str, Tensor]]:
        """Crops [B, 3, 96, 96], moved a little and mirrored half of the time, with labels that follow."""
        size = self.net.config["size"]
        images = batch["images"].permute(0, 3, 1, 2).float() / 127.5 - 1
        jitter, degrees = jitter_parts(batch_rng, size, scale=0.06, turn=3.0, shift=0.02)
        flip = batch_rng.some(0.5)
        placed = compose(jitter, expression_matrix(batch["landmarks"], size))
        upright = compose(mirror_matrix(flip, 1), expression_matrix(batch["landmarks"], 1))
        labels = {name: batch[name] for name in self.lengths if name != "shape"}
        labels |= {
            "pose": turn_pose(batch["pose"], degrees),
            "landmarks": transform_points(upright, batch["landmarks"]),
        }
        labels = mirror_labels(labels, flip)
        labels["shape"] = (labels["landmarks"][..., :2].flatten(1) - self.landmark_mean) @ self.landmark_shapes
        return warp(images, compose(mirror_matrix(flip, size), placed), size), labels

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        batch_rng = BatchRandom(len(batch["images"]), generator, batch["images"].device)
        clean, labels = self._crops(batch, batch_rng)
        seen = photograph(clean, generator, self.config.augment, 0.0)
        cells = clean.shape[-1] // CELL
        blank = (batch_rng.uniform(0, 1, 1, cells, cells) < self.config.masked) & batch_rng.some(0.5)[
            :, None, None, None
        ]
        seen = seen.masked_fill(blank.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3), 0.0)
        tokens = self.net(seen)
        difference = self.reconstruct(tokens) - clean
        pixels = difference.abs().mean()
        edges = difference.diff(dim=3).abs().mean() + difference.diff(dim=2).abs().mean()
        named, shares = self.naming_loss(tokens, labels)
        logs = {"l1": pixels.detach(), "labels": named.detach()} | shares
        return pixels + self.config.edges * edges + self.config.labels * named, logs  # type: ignore[return-value]

    def naming_loss(self, tokens: Tensor, labels: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Error of the linear reading of tokens [B, N, features], and the share of each label's variance that is left.

        The error is the sum of those shares, by their weights, and of the losses of the looks.
        """
        flat = tokens.flatten(1)
        # so many inputs of size one would make each step of Adam far too long
        read = self.head(flat / flat.shape[1] ** 0.5).float()
        outputs = dict(zip(self.lengths, read.split(list(self.lengths.values()), 1), strict=True))
        loss, shares = 0.3 * attribute_loss(outputs, labels, self.classes).mean(), {}
        for name, weight in SCALED.items():
            mean, spread = self.statistics(name)
            wanted = (labels[name] - mean) / spread
            known = wanted.isfinite()  # MediaPipe finds no face now and then
            left = outputs[name] - torch.where(known, wanted, torch.zeros_like(wanted))
            share = (left.square() * known).sum(1).mean()
            loss, shares[f"rest_{name}"] = loss + weight * share, share.detach()
        return loss, shares

    def statistics(self, name: str) -> tuple[Tensor, Tensor]:
        """Mean [K] of a label, and the root of its K columns' variances in all."""
        return getattr(self, f"{name}_mean"), getattr(self, f"{name}_spread")

    def reconstruct(self, tokens: Tensor) -> Tensor:
        """Tokens [B, N, features] -> the crop they are of [B, 3, 96, 96]."""
        cells = self.net.config["size"] // CELL
        return self.decoder(tokens.transpose(1, 2).unflatten(2, (cells, cells))).float()

    def calibrate(self, corpus: Corpus) -> None:
        """The batch normalisations; see the base class."""
        recalibrate(self, self, corpus)

    def validate(self, corpus: Corpus) -> Logs:
        """Reconstruction error on held-out people, and what linear probes find in the tokens."""
        from mien.training.probes import probe_expression, probe_identity

        held_out = corpus.held_out or corpus
        rows, known = np.arange(min(len(held_out), 2000)), spread_rows(len(corpus), PROBED)
        (tokens, error), (others, _) = self._encode(held_out, rows), self._encode(corpus, known)
        fitted = others.flatten(1).numpy(), corpus["coefficients"][known]
        found = tokens.flatten(1).numpy()
        return {
            "l1": error,
            "probe_identity": probe_identity(found, held_out.person_index[rows]),
            "probe_expression": probe_expression(fitted, found, held_out["coefficients"][rows]),
        }

    @torch.no_grad()
    def _encode(self, corpus: Corpus, rows: np.ndarray) -> tuple[Tensor, float]:
        size, device = self.net.config["size"], self.net.device
        tokens, errors = [], []
        for part in np.array_split(rows, max(1, len(rows) // 128)):
            images = torch.from_numpy(corpus["images"][part]).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
            points = torch.from_numpy(training_landmarks(corpus, part)).to(device)
            crops = warp(images, expression_matrix(points, size), size)
            part_tokens = self.net(crops)
            tokens.append(part_tokens.cpu())
            errors.append(F.l1_loss(self.reconstruct(part_tokens), crops).item())
        return torch.cat(tokens).float(), float(np.mean(errors))

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {self.part: self.net}
