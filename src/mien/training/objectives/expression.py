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

from mien.faces.alignment import compose, expression_matrix, full_precision, warp
from mien.faces.networks import ExpressionEncoder
from mien.faces.networks.blocks import Mixer
from mien.faces.networks.reader_net import POSE_UNIT
from mien.training.augmentation import Dice, jitter_parts, mirror_matrix, photograph
from mien.training.batches import spread_rows
from mien.training.face_labels import attribute_classes, attribute_loss, label_batch, mirror_labels, turn_pose
from mien.training.features import training_landmarks
from mien.training.normalisation import recalibrate
from mien.training.objective import Logs, Objective

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

CELL = 16
PROBED = 4096
"""Pictures that the probe of the expression is fitted to."""
_COLUMNS = {"blendshapes": "blendshapes_mediapipe"}
_UNIT = {"blendshapes": 1.0, "coefficients": 1.0, "skin_tone": 1.0, "age": 100.0}
"""Numbers that are read as logits -> what one unit of them is."""
NUMBERS = {"blendshapes": 52, "coefficients": 53, "pose": 3, "gaze": 2, "skin_tone": 1, "age": 1, "gender": 1}


class ExpressionObjective(Objective):
    """Mean absolute error of the clean crop, drawn by a small decoder from the tokens of a damaged and masked one.

    Added are the errors of one linear map from all tokens to expression (MediaPipe's blendshapes and the renderer's
    coefficients), pose, gaze and the looks of the person.

    Args:
        masked: odds of a 16 px cell to be blanked, in the half of the batch that is masked at all; the other half makes
            the tokens of whole pictures, which is what the encoder will read, complete.
        augment: strength of the damage that the decoder has to undo.
        edges: weight of the differences between neighbouring pixels.
        labels: weight of the linear reading; 0 leaves it out.
    """

    part = "expression_encoder"

    def __init__(self, masked: float = 0.5, augment: float = 0.5, edges: float = 1.0, labels: float = 0.5) -> None:
        super().__init__()
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
        self.masked, self.augment, self.edges, self.labels = masked, augment, edges, labels

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Start the numbers between 0 and 1 at their means: most are small, and a bias takes thousands of steps."""
        start = 0
        with torch.no_grad():
            for name, length in self.lengths.items():
                values = corpus[_COLUMNS.get(name, name)] if name in _UNIT else None
                if values is not None:
                    mean = np.nanmean(np.asarray(values, np.float64).reshape(len(corpus), -1), 0) / _UNIT[name]
                    odds = torch.from_numpy(np.nan_to_num(mean, nan=0.5)).float().clamp(1e-3, 1 - 1e-3).logit()
                    self.head.bias[start : start + length] = odds.to(self.head.bias.device)
                start += length

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures with their landmarks and labels."""
        rows = rng.integers(0, len(corpus), size)
        return label_batch(corpus, rows, self.classes) | {
            "images": torch.from_numpy(corpus["images"][rows]),
            "landmarks": torch.from_numpy(training_landmarks(corpus, rows)),
            "blendshapes": torch.from_numpy(corpus["blendshapes_mediapipe"][rows].astype(np.float32)),
        }

    @full_precision
    def _crops(self, batch: dict[str, Tensor], dice: Dice) -> tuple[Tensor, dict[str, Tensor]]:
        """Crops [B, 3, 96, 96], moved a little and mirrored at even odds, with labels that follow."""
        size = self.net.config["size"]
        images = batch["images"].permute(0, 3, 1, 2).float() / 127.5 - 1
        jitter, degrees = jitter_parts(dice, size, scale=0.06, turn=3.0, shift=0.02)
        flip = dice.some(0.5)
        placed = compose(jitter, expression_matrix(batch["landmarks"], size))
        labels = {name: batch[name] for name in self.lengths}
        labels = mirror_labels(labels | {"pose": turn_pose(batch["pose"], degrees)}, flip)
        return warp(images, compose(mirror_matrix(flip, size), placed), size), labels

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        dice = Dice(len(batch["images"]), generator, batch["images"].device)
        clean, labels = self._crops(batch, dice)
        seen = photograph(clean, generator, self.augment, 0.0)
        cells = clean.shape[-1] // CELL
        blank = (dice.uniform(0, 1, 1, cells, cells) < self.masked) & dice.some(0.5)[:, None, None, None]
        seen = seen.masked_fill(blank.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3), 0.0)
        tokens = self.net(seen)
        difference = self.reconstruct(tokens) - clean
        pixels = difference.abs().mean()
        edges = difference.diff(dim=3).abs().mean() + difference.diff(dim=2).abs().mean()
        named = self.naming_loss(tokens, labels)
        logs = {"l1": pixels.detach(), "labels": named.detach()}
        return pixels + self.edges * edges + self.labels * named, logs  # type: ignore[return-value]

    def naming_loss(self, tokens: Tensor, labels: dict[str, Tensor]) -> Tensor:
        """Error of the linear reading of tokens [B, N, features]; weights bring its terms to about the same size."""
        flat = tokens.flatten(1)
        # so many inputs of size one would make each step of Adam far too long
        read = self.head(flat / flat.shape[1] ** 0.5).float()
        outputs = dict(zip(self.lengths, read.split(list(self.lengths.values()), 1), strict=True))
        known = labels["blendshapes"].isfinite()
        scores = torch.where(known, labels["blendshapes"], torch.zeros_like(labels["blendshapes"])).clamp(0, 1)
        shapes = F.binary_cross_entropy_with_logits(outputs["blendshapes"], scores, reduction="none") * known
        driven = F.binary_cross_entropy_with_logits(outputs["coefficients"], labels["coefficients"])
        turned = sum((outputs[name] - labels[name] / POSE_UNIT).abs().sum(1).mean() for name in ("pose", "gaze"))
        looks = attribute_loss(outputs, labels, self.classes).mean()
        return 4.0 * (shapes.mean() + driven) + turned + 0.3 * looks

    def reconstruct(self, tokens: Tensor) -> Tensor:
        """Tokens [B, N, features] -> the crop they are of [B, 3, 96, 96]."""
        cells = self.net.config["size"] // CELL
        return self.decoder(tokens.transpose(1, 2).unflatten(2, (cells, cells))).float()

    def validate(self, corpus: Corpus) -> Logs:
        """Reconstruction error on held-out people, and what linear probes find in the tokens."""
        from mien.training.probes import probe_expression, probe_identity

        recalibrate(self, self, corpus)
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
        points, tokens, errors = training_landmarks(corpus), [], []
        for part in np.array_split(rows, max(1, len(rows) // 128)):
            images = torch.from_numpy(corpus["images"][part]).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
            crops = warp(images, expression_matrix(torch.from_numpy(points[part]).to(device), size), size)
            part_tokens = self.net(crops)
            tokens.append(part_tokens.cpu())
            errors.append(F.l1_loss(self.reconstruct(part_tokens), crops).item())
        return torch.cat(tokens).float(), float(np.mean(errors))

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {self.part: self.net}
