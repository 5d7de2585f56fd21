"""Train the expression encoder by masked reconstruction (SimMIM, Xie et al. 2022): it keeps whatever it sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.alignment import compose, expression_matrix, full_precision, warp
from mien.faces.networks import ExpressionEncoder
from mien.faces.networks.blocks import Mixer
from mien.training.augmentation import Dice, jitter_matrix, photograph
from mien.training.features import training_landmarks
from mien.training.normalisation import recalibrate
from mien.training.objective import Logs, Objective

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

CELL = 16


class ExpressionObjective(Objective):
    """Mean absolute error of the clean crop, drawn by a small decoder from the tokens of a damaged and masked one.

    Args:
        masked: odds of a 16 px cell to be blanked, in the half of the batch that is masked at all; the other half makes
            the tokens of whole pictures, which is what the encoder will read, complete.
        augment: strength of the damage that the decoder has to undo.
        edges: weight of the differences between neighbouring pixels.
    """

    part = "expression_encoder"

    def __init__(self, masked: float = 0.5, augment: float = 0.5, edges: float = 1.0) -> None:
        super().__init__()
        self.net = ExpressionEncoder().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = self.net.config["features"]
        self.decoder = nn.Sequential(
            Mixer(features), Mixer(features), nn.Conv2d(features, 3 * CELL * CELL, 1), nn.PixelShuffle(CELL)
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.masked, self.augment, self.edges = masked, augment, edges

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures with their landmarks."""
        rows = rng.integers(0, len(corpus), size)
        landmarks = corpus["landmarks_mediapipe"][rows]
        landmarks = np.where(np.isnan(landmarks), corpus["landmarks"][rows], landmarks).astype(np.float32)
        return {"images": torch.from_numpy(corpus["images"][rows]), "landmarks": torch.from_numpy(landmarks)}

    @full_precision
    def crops(self, batch: dict[str, Tensor], dice: Dice) -> Tensor:
        """Crops [B, 3, 96, 96], moved a little."""
        size = self.net.config["size"]
        images = batch["images"].permute(0, 3, 1, 2).float() / 127.5 - 1
        jitter = jitter_matrix(dice, size, scale=0.06, turn=3.0, shift=0.02, flip=dice.some(0.5))
        return warp(images, compose(jitter, expression_matrix(batch["landmarks"], size)), size)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        dice = Dice(len(batch["images"]), generator, batch["images"].device)
        clean = self.crops(batch, dice)
        seen = photograph(clean, generator, self.augment, 0.0)
        cells = clean.shape[-1] // CELL
        blank = (dice.uniform(0, 1, 1, cells, cells) < self.masked) & dice.some(0.5)[:, None, None, None]
        seen = seen.masked_fill(blank.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3), 0.0)
        difference = self.reconstruct(seen) - clean
        pixels = difference.abs().mean()
        edges = difference.diff(dim=3).abs().mean() + difference.diff(dim=2).abs().mean()
        return pixels + self.edges * edges, {"l1": pixels.detach()}  # type: ignore[dict-item]

    def reconstruct(self, crops: Tensor) -> Tensor:
        """Encode and decode [B, 3, 96, 96]."""
        tokens = self.net(crops)
        cells = crops.shape[-1] // CELL
        return self.decoder(tokens.transpose(1, 2).unflatten(2, (cells, cells))).float()

    def validate(self, corpus: Corpus) -> Logs:
        """Reconstruction error on held-out people, and what linear probes find in the tokens."""
        from mien.training.probes import probe_tokens

        recalibrate(self, self, corpus)
        held_out = corpus.held_out or corpus
        rows = np.arange(min(len(held_out), 2000))
        tokens, error = self._encode(held_out, rows)
        return {"l1": error} | probe_tokens(
            tokens.mean(1).numpy(), held_out.person_index[rows], held_out["coefficients"][rows]
        )

    @torch.no_grad()
    def _encode(self, corpus: Corpus, rows: np.ndarray) -> tuple[Tensor, float]:
        size, device = self.net.config["size"], self.net.device
        points, tokens, errors = training_landmarks(corpus), [], []
        for part in np.array_split(rows, max(1, len(rows) // 128)):
            images = torch.from_numpy(corpus["images"][part]).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
            crops = warp(images, expression_matrix(torch.from_numpy(points[part]).to(device), size), size)
            tokens.append(self.net(crops).cpu())
            errors.append(F.l1_loss(self.reconstruct(crops), crops).item())
        return torch.cat(tokens).float(), float(np.mean(errors))

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {self.part: self.net}
