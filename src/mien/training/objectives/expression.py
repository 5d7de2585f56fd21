"""Train the expression encoder without any label: masked reconstruction, and telling pictures apart.

Reconstruction (SimMIM, Xie et al. 2022) keeps whatever is seen, but as pixels: a linear probe of such tokens found no
expression at all, and an adapter reads tokens linearly. Contrast (SimCLR, Chen et al. 2020) among several pictures of
each of several people brings out what sets pictures apart, expression among it, and people, identity too.
"""

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
from mien.training.contrast import symmetric_cross_entropy
from mien.training.features import training_landmarks
from mien.training.normalisation import recalibrate
from mien.training.objective import Logs, Objective

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

CELL = 16


class ExpressionObjective(Objective):
    """Mean absolute error of the clean crop, drawn by a small decoder from the tokens of a damaged and masked one.

    Added is the cross-entropy of finding, among the batch, the other damaged view of the same picture.

    Args:
        masked: odds of a 16 px cell to be blanked, in the half of the batch that is masked at all; the other half makes
            the tokens of whole pictures, which is what the encoder will read, complete.
        augment: strength of the damage that the decoder has to undo.
        edges: weight of the differences between neighbouring pixels.
        contrast: weight of the cross-entropy; 0 leaves it out.
        same: pictures of each person in a batch: what the cross-entropy must not tell apart by identity.
        temperature: of the cosines.
    """

    part = "expression_encoder"

    def __init__(
        self,
        masked: float = 0.5,
        augment: float = 0.5,
        edges: float = 1.0,
        contrast: float = 0.2,
        same: int = 4,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.net = ExpressionEncoder().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = self.net.config["features"]
        self.decoder = nn.Sequential(
            Mixer(features), Mixer(features), nn.Conv2d(features, 3 * CELL * CELL, 1), nn.PixelShuffle(CELL)
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        tokens = (self.net.config["size"] // CELL) ** 2
        self.head = nn.Linear(tokens * features, 128) if contrast else None
        self.masked, self.augment, self.edges = masked, augment, edges
        self.contrast, self.same, self.temperature = contrast, same, temperature

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures, ``same`` of each person, with their landmarks."""
        rows = np.repeat(rng.integers(0, len(corpus), -(-size // self.same)), self.same)
        first = np.arange(len(rows)) % self.same == 0
        rows = np.where(first, rows, corpus.same_person(rows, rng))[:size]
        landmarks = training_landmarks(corpus, rows)
        return {"images": torch.from_numpy(corpus["images"][rows]), "landmarks": torch.from_numpy(landmarks)}

    @full_precision
    def crops(self, batch: dict[str, Tensor], dice: Dice) -> Tensor:
        """Crops [B, 3, 96, 96], moved a little."""
        size = self.net.config["size"]
        images = batch["images"].permute(0, 3, 1, 2).float() / 127.5 - 1
        jitter = jitter_matrix(dice, size, scale=0.06, turn=3.0, shift=0.02)
        return warp(images, compose(jitter, expression_matrix(batch["landmarks"], size)), size)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        dice = Dice(len(batch["images"]), generator, batch["images"].device)
        clean = self.crops(batch, dice)
        seen = photograph(clean, generator, self.augment, 0.0)
        cells = clean.shape[-1] // CELL
        blank = (dice.uniform(0, 1, 1, cells, cells) < self.masked) & dice.some(0.5)[:, None, None, None]
        seen = seen.masked_fill(blank.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3), 0.0)
        tokens = self.net(seen)
        difference = self.reconstruct(tokens) - clean
        pixels = difference.abs().mean()
        edges = difference.diff(dim=3).abs().mean() + difference.diff(dim=2).abs().mean()
        loss, logs = pixels + self.edges * edges, {"l1": pixels.detach()}
        if self.head is not None:
            other = self.net(photograph(self.crops(batch, dice), generator, 2 * self.augment, 0.0))
            found = self.tell_apart(tokens, other)
            loss, logs = loss + self.contrast * found, logs | {"contrast": found.detach()}
        return loss, logs  # type: ignore[return-value]

    def tell_apart(self, one: Tensor, other: Tensor) -> Tensor:
        """Symmetric cross-entropy of matching views of the same pictures, tokens [B, N, features] each."""
        assert self.head is not None
        a, b = (F.normalize(self.head(tokens.flatten(1)).float(), dim=1) for tokens in (one, other))
        return symmetric_cross_entropy(a @ b.T / self.temperature)

    def reconstruct(self, tokens: Tensor) -> Tensor:
        """Tokens [B, N, features] -> the crop they are of [B, 3, 96, 96]."""
        cells = self.net.config["size"] // CELL
        return self.decoder(tokens.transpose(1, 2).unflatten(2, (cells, cells))).float()

    def validate(self, corpus: Corpus) -> Logs:
        """Reconstruction error on held-out people, and what linear probes find in the tokens."""
        from mien.training.probes import probe_tokens

        recalibrate(self, self, corpus)
        held_out = corpus.held_out or corpus
        rows = np.arange(min(len(held_out), 2000))
        tokens, error = self._encode(held_out, rows)
        return {"l1": error} | probe_tokens(
            tokens.flatten(1).numpy(), held_out.person_index[rows], held_out["coefficients"][rows]
        )

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
