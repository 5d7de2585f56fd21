"""Train an identity embedding: additive angular margin (ArcFace, Deng et al. 2019) over the people of the corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.alignment import arcface_matrix, compose, filtered_crop, full_precision, warp
from mien.faces.networks import IdentityEmbedder
from mien.metrics.identity import top1_accuracy
from mien.training.augmentation import BatchRandom, jitter_matrix, photograph
from mien.training.batches import pictures_to_tensor
from mien.training.features import training_landmarks
from mien.training.normalisation import recalibrate
from mien.training.objective import Logs, Objective, ObjectiveConfig
from mien.training.parts import ROW

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.sources import Sources


def arcface_logits(cosines: Tensor, target: Tensor, margin: float, scale: float) -> Tensor:
    """Logits scale * cos(theta + margin) for each row's own class, scale * cos(theta) for the others (ArcFace, Eq. 3).

    Where theta + margin would pass pi, the straight continuation cos(theta) - margin * sin(margin) is taken, as the
    authors' code does, so that the logit stays monotonic.

    Args:
        cosines: [B, P].
        target: [B] class numbers.
        margin: radians.
        scale: factor.
    """
    own = cosines.gather(1, target[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
    pushed = (own.acos() + margin).cos()
    pushed = torch.where(own > np.cos(np.pi - margin), pushed, own - margin * np.sin(margin))
    return cosines.scatter(1, target[:, None], pushed) * scale


class IdentityConfig(ObjectiveConfig):
    """Options of :class:`IdentityObjective`.

    Attributes:
        margin: radians at an accuracy of 0.8 and above.
        scale: of the cosines.
        augment: strength of the augmentation.
        people: of the held-out corpus, used in validation.
    """

    margin: float = 0.35
    scale: float = 32.0
    augment: float = 0.8
    people: int = 200

    def build(self, sources: Sources) -> IdentityObjective:
        """See the base class."""
        return IdentityObjective(self)


class IdentityObjective(Objective):
    """Cross-entropy over people with a margin that grows as the network learns to tell them apart.

    The margin follows the smoothed accuracy of the batches instead of a step count (*inferred*), which the checkpoint
    keeps.

    Args:
        config: the options.
    """

    part = "identity"
    config_type: ClassVar[type[ObjectiveConfig]] = IdentityConfig

    def __init__(self, config: IdentityConfig | None = None) -> None:
        super().__init__()
        self.config = config or IdentityConfig()
        self.net = self.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.accuracy: Tensor
        self.register_buffer("accuracy", torch.zeros(()))
        self.centres: nn.Parameter | None = None

    def build(self) -> nn.Module:
        """The network that is trained."""
        return IdentityEmbedder()

    def matrix(self, landmarks: Tensor, size: int) -> Tensor:
        """The crop the network reads."""
        return arcface_matrix(landmarks, size)

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """One centre a person."""
        width = self.net.config["embedding"]
        start = torch.randn(corpus.people, width, generator=torch.Generator().manual_seed(1))
        self.centres = nn.Parameter(F.normalize(start, dim=1).to(self.net.device))
        self._corpus = corpus

    def start_from(self, folder: Path) -> None:
        """See the base class; each person's centre starts where the given network sees the person."""
        super().start_from(folder)
        assert self.centres is not None, "prepare() comes first"
        corpus = self._corpus
        rows = np.concatenate([np.flatnonzero(corpus.person_index == p)[:4] for p in range(corpus.people)])
        self.net.eval()
        sums = torch.zeros(self.centres.shape)
        sums.index_add_(0, torch.from_numpy(corpus.person_index[rows]), self.embed(corpus, rows))
        self.net.train()
        with torch.no_grad():
            self.centres.copy_(F.normalize(sums, dim=1))

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures with their landmarks and the number of the person."""
        rows = rng.integers(0, len(corpus), size)
        return {
            "images": torch.from_numpy(corpus["images"][rows]),
            "landmarks": torch.from_numpy(training_landmarks(corpus, rows)),
            "person": torch.from_numpy(corpus.person_index[rows]),
            ROW: torch.from_numpy(rows),
        }

    @full_precision
    def crops(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """Aligned crops, moved and mirrored a little, as a camera may deliver them."""
        images = batch["images"]
        batch_rng = BatchRandom(len(images), generator, images.device)
        size = self.net.config.get("size", 96)
        jitter = jitter_matrix(batch_rng, size, scale=0.05, turn=4.0, shift=0.02, flip=batch_rng.some(0.5))
        matrices = compose(jitter, self.matrix(batch["landmarks"], size))
        crops = filtered_crop(images, matrices, size)
        return photograph(crops, generator, self.config.augment, 0.25)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        assert self.centres is not None, "prepare() comes first"
        embeddings = self.net(self.crops(batch, generator))
        cosines = (embeddings @ F.normalize(self.centres, dim=1).T).float()
        hits = (cosines.detach().argmax(1) == batch["person"]).float().mean()
        self.accuracy.lerp_(hits, 0.02)
        margin = self.config.margin * min(1.0, float(self.accuracy) / 0.8)
        logits = arcface_logits(cosines, batch["person"], margin, self.config.scale)
        return F.cross_entropy(logits, batch["person"]), {"accuracy": hits, "margin": margin}  # type: ignore[dict-item]

    def calibrate(self, corpus: Corpus) -> None:
        """The batch normalisations; see the base class."""
        recalibrate(self, self.net, corpus)

    def validate(self, corpus: Corpus) -> Logs:
        """Top-1 among held-out people: one picture of each in the gallery, the others are looked up."""
        held_out = corpus.held_out or corpus
        rows = np.flatnonzero(held_out.person_index < self.config.people)
        embeddings = self.embed(held_out, rows)
        return {"top1": top1_accuracy(embeddings.numpy(), held_out.person_index[rows])}

    @torch.no_grad()
    def embed(self, corpus: Corpus, rows: np.ndarray) -> Tensor:
        """Embeddings [n, D] of pictures as they are."""
        size = self.net.config.get("size", 96)
        parts = []
        for part in np.array_split(rows, max(1, len(rows) // 128)):
            images = pictures_to_tensor(corpus["images"][part]).to(self.net.device)
            landmarks = torch.from_numpy(training_landmarks(corpus, part)).to(self.net.device)
            parts.append(self.net(warp(images, self.matrix(landmarks, size), size)).cpu())
        return torch.cat(parts)

    def extra_state(self) -> dict[str, Tensor]:
        """See the base class."""
        return {"accuracy": self.accuracy}

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {self.part: self.net}
