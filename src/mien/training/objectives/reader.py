"""Train the studio's face reader on every label the renderer knows and MediaPipe's blendshapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.alignment import compose, full_precision, studio_matrix, transform_points, warp
from mien.faces.linear.arkit import KIT_NAMES
from mien.faces.networks import StudioFaceNet
from mien.faces.networks.reader_net import POSE_UNIT
from mien.metrics.expression import exp_distance, lms_distance
from mien.training.augmentation import BatchRandom, jitter_parts, mirror_matrix, photograph, random_texture
from mien.training.batches import spread_rows
from mien.training.compositing import cover, darken, replace_background, sharpen
from mien.training.face_labels import (
    EYES,
    accuracy,
    attribute_classes,
    attribute_loss,
    emotion_loss,
    label_batch,
    mirror_labels,
    turn_pose,
)
from mien.training.features import training_landmarks
from mien.training.normalisation import recalibrate
from mien.training.objective import Logs, Objective, ObjectiveConfig

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.sources import Sources

# Distances that carry an expression: lids, lips, mouth corners, iris to eye corner, brow to eye.
EXPRESSIVE_PAIRS = (
    (145, 159), (374, 386), (13, 14), (0, 17), (61, 291), (468, 133), (468, 33), (473, 263), (473, 362),
    (468, 145), (473, 374), (105, 159), (334, 386), (107, 133), (336, 362), (61, 1), (291, 1),
)  # fmt: skip
FINE = (*range(468, 478), 33, 133, 145, 159, 160, 158, 144, 153, 263, 362, 374, 386, 385, 387, 380, 373,
        0, 13, 14, 17, 61, 291, 78, 308, 82, 312, 87, 317, 39, 269, 181, 405)  # fmt: skip


SHARES = {"blendshapes": "blendshapes_mediapipe", "coefficients": "coefficients"}
"""Outputs whose squared error also counts as a share of the labels' variance -> column of the corpus."""


class ReaderConfig(ObjectiveConfig):
    """Options of :class:`ReaderObjective`.

    Attributes:
        augment: strength of the augmentation.
        absent: share of crops moved off the face.
        attributes: weight of hair, beard, glasses, headwear, skin tone, age and gender.
        background: share of the pictures that get another background, where the data set has mattes.
        covered: share of the faces that get dark glasses, a mask, fingers or a microphone in front of them.
        size, widths, hidden, basis: of the network, see `StudioFaceNet`.
    """

    augment: float = 1.0
    absent: float = 0.08
    attributes: float = 0.3
    background: float = Field(default=0.7, ge=0, le=1)
    covered: float = Field(default=0.25, ge=0, le=1)
    size: int = 128
    widths: tuple[int, int, int, int] = (48, 96, 144, 192)
    hidden: int = 224
    basis: int = 72

    def build(self, sources: Sources) -> ReaderObjective:
        """See the base class."""
        return ReaderObjective(self)


class ReaderObjective(Objective):
    """A weighted sum of one loss for each output; crops without a face train the presence output only.

    Args:
        config: the options.
    """

    config_type = ReaderConfig

    def __init__(self, config: ReaderConfig | None = None) -> None:
        super().__init__()
        self.config = config or ReaderConfig()
        self.classes = attribute_classes()
        network = {name: getattr(self.config, name) for name in ("size", "widths", "hidden", "basis")}
        net = StudioFaceNet(**network, classes=self.classes)
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.variances = dict.fromkeys(SHARES, 1.0)
        self._each = torch.ones(len(KIT_NAMES))

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Start the landmark head from the shapes of the corpus in the studio's frame; how much its labels vary."""
        self.variances = {
            name: float(np.nanvar(np.asarray(corpus[column], np.float64), 0).sum()) for name, column in SHARES.items()
        }
        each = torch.from_numpy(np.asarray(corpus["coefficients"], np.float32).var(0))
        self._each = each.clamp_min(0.1 * float(each.mean()))
        rows = spread_rows(len(corpus), 4000)
        points = torch.from_numpy(training_landmarks(corpus, rows))
        framed = transform_points(studio_matrix(points, self.config.size), points)
        self.net.init_landmarks(framed.to(self.net.device))

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures with all their labels."""
        return self.rows(corpus, rng.integers(0, len(corpus), size))

    def rows(self, corpus: Corpus, rows: np.ndarray) -> dict[str, Tensor]:
        """Pictures and labels of the given rows."""
        mattes = {"mattes": torch.from_numpy(corpus["mattes"][rows])} if "mattes" in corpus.arrays else {}
        return (
            label_batch(corpus, rows, self.classes)
            | mattes
            | {
                "images": torch.from_numpy(corpus["images"][rows]),
                "masks": torch.from_numpy(corpus["masks"][rows]),
                "landmarks": torch.from_numpy(training_landmarks(corpus, rows)),
                "blendshapes": torch.from_numpy(corpus["blendshapes_mediapipe"][rows].astype(np.float32)),
            }
        )

    @full_precision
    def augmented(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Crops in the studio's frame, moved, turned, mirrored and damaged, with labels that follow.

        Returns:
            The batch with ``crops`` [B, 3, S, S] and ``present`` [B], in place of ``images``.
        """
        size = self.net.config["size"]
        images = batch["images"].permute(0, 3, 1, 2).float() / 127.5 - 1
        batch_rng = BatchRandom(len(images), generator, images.device)
        jitter, degrees = jitter_parts(batch_rng, size, scale=0.10, turn=8.0, shift=0.05)
        flip = batch_rng.some(0.5)
        absent = batch_rng.some(self.config.absent)
        away = F.normalize(batch_rng.normal(2), dim=1) * batch_rng.uniform(0.6, 1.0, 1) * size
        jitter[..., 2] += torch.where(absent[:, None], away, torch.zeros_like(away))
        matrix = compose(mirror_matrix(flip, size), compose(jitter, studio_matrix(batch["landmarks"], size)))
        layers = torch.cat([images, torch.ones_like(images[:, :1])], 1)
        layers = warp(layers, matrix, size, padding="zeros")
        crops = layers[:, :3] + (1 - layers[:, 3:]) * random_texture(batch_rng, size)
        if "mattes" in batch:
            mattes = _warped(batch["mattes"], matrix, images.shape[-1], size, size)
            crops = replace_background(crops, mattes[:, None], batch_rng, self.config.background)
        masks = _warped(batch["masks"], matrix, images.shape[-1], size, size // 2)
        labels = {k: v for k, v in batch.items() if k not in ("images", "masks", "mattes")}
        labels["landmarks"] = transform_points(matrix, batch["landmarks"].float())
        crops = cover(crops, labels["landmarks"], batch_rng, self.config.covered)
        crops = darken(sharpen(crops, batch_rng, 0.25 * self.config.augment), batch_rng, 0.15 * self.config.augment)
        labels["pose"] = turn_pose(batch["pose"], degrees)
        labels = mirror_labels(labels, flip)
        crops = photograph(crops, generator, self.config.augment, 0.3)
        return labels | {"crops": crops, "masks": masks, "present": (~absent).float()}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        labels = self.augmented(batch, generator)
        outputs = self.net(labels["crops"])
        present = labels["present"]
        losses = self.losses(outputs, labels)
        total = sum((loss * present).sum() / present.sum().clamp_min(1) for loss in losses.values())
        presence = F.binary_cross_entropy_with_logits(outputs["presence"][:, 0], present)
        logs = {name: (loss.detach() * present).sum() / present.sum().clamp_min(1) for name, loss in losses.items()}
        return total + presence, logs | {"presence": presence.detach()}  # type: ignore[return-value]

    def losses(self, outputs: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weighted losses [B] by name (the weights bring them to about the same size; *inferred*)."""
        difference = (outputs["landmarks"] - labels["landmarks"]).abs()
        flat = difference[..., :2].sum(-1)
        start, end = (list(column) for column in zip(*EXPRESSIVE_PAIRS, strict=True))
        guess, truth = outputs["landmarks"][..., :2], labels["landmarks"][..., :2]
        spans = ((guess[:, start] - guess[:, end]) - (truth[:, start] - truth[:, end])).abs().sum(-1).mean(1)
        points = flat.mean(1) + flat[:, list(FINE)].mean(1) + 0.2 * difference[..., 2].mean(1) + spans
        known = labels["blendshapes"].isfinite()
        scores = torch.where(known, labels["blendshapes"], torch.zeros_like(labels["blendshapes"])).clamp(0, 1)
        shapes = F.binary_cross_entropy_with_logits(outputs["blendshapes"], scores, reduction="none")
        shapes = shapes + (outputs["blendshapes"].sigmoid() - scores).abs()
        driven = F.binary_cross_entropy_with_logits(outputs["coefficients"], labels["coefficients"], reduction="none")
        pose = (outputs["pose"] - labels["pose"] / POSE_UNIT).abs().sum(1)
        away = outputs["gaze"] - labels["gaze"] / POSE_UNIT
        gaze = away.abs().sum(1) + 2.0 * away.square().sum(1)  # the square, since most people look ahead
        classes, circumplex = emotion_loss(outputs["emotion"], outputs["circumplex"], labels["emotion"])
        shares = self._share("blendshapes", outputs["blendshapes"].sigmoid(), scores, known)
        shares = shares + self._share("coefficients", outputs["coefficients"].sigmoid(), labels["coefficients"])
        square = (outputs["coefficients"].sigmoid() - labels["coefficients"]).square() / self._each.to(scores.device)
        square[:, list(EYES)] *= 2.0  # small in the picture, and people look at them
        shares = shares + square.mean(1)
        mask = F.binary_cross_entropy_with_logits(outputs["mask"], labels["masks"], reduction="none").mean((1, 2))
        return {
            "points": 0.15 * points,
            "shapes": 4.0 * (shapes * known).mean(1),
            "driven": 4.0 * driven.mean(1),
            "shares": shares,
            "pose": 2.0 * pose,
            "gaze": gaze,
            "emotion": 0.3 * (classes + circumplex),
            "mask": mask,
            "attributes": self.config.attributes * attribute_loss(outputs, labels, self.classes),
        }

    def _share(self, name: str, read: Tensor, truth: Tensor, known: Tensor | float = 1.0) -> Tensor:
        """Squared error [B] of values [B, K] that are known, as a share of their variance in the corpus."""
        return ((read - truth).square() * known).sum(1) / self.variances[name]

    def calibrate(self, corpus: Corpus) -> None:
        """The batch normalisations; see the base class."""
        recalibrate(self, self.net, corpus)

    def validate(self, corpus: Corpus) -> Logs:
        """Errors on held-out people, pictures as they are: pixels, Exp and LMS against the labels, degrees; shares."""
        device = self.net.device

        held_out = corpus.held_out or corpus
        logs: dict[str, list[float]] = {}
        rows = spread_rows(len(held_out), 1024)
        for part in np.array_split(rows, min(16, len(rows))):
            batch = {k: v.to(device) for k, v in self.rows(held_out, part).items()}
            for name, value in self._errors(batch).items():
                logs.setdefault(name, []).append(value)
        return {name: float(np.nanmean(values)) for name, values in logs.items()}

    @torch.no_grad()
    def _errors(self, batch: dict[str, Tensor]) -> dict[str, float]:
        size = self.net.config["size"]
        matrix = studio_matrix(batch["landmarks"], size)
        images = batch["images"].permute(0, 3, 1, 2).float() / 127.5 - 1
        read = self.net.predict(warp(images, matrix, size))
        truth = transform_points(matrix, batch["landmarks"])
        pose = (read["pose"] - batch["pose"]).abs().mean(0)
        hits = read["emotion"][:, 2:].argmax(1) == batch["emotion"][:, 2:].argmax(1)
        guessed, wanted = read["blendshapes"].cpu().numpy(), batch["blendshapes"].cpu().numpy()
        return {
            "pixels": (read["landmarks"] - truth)[..., :2].norm(dim=-1).mean().item(),
            "exp": float(np.nanmean(exp_distance(wanted, guessed))),
            "lms": float(lms_distance(truth.cpu().numpy(), read["landmarks"].cpu().numpy()).mean()),
            "driven": (read["coefficients"] - batch["coefficients"]).abs().mean().item(),
            "rest_blendshapes": self._rest("blendshapes", read, batch),
            "rest_coefficients": self._rest("coefficients", read, batch),
            **{name: accuracy(read[name], batch[name]) for name in self.classes},
            "yaw": pose[0].item(),
            "pitch": pose[1].item(),
            "roll": pose[2].item(),
            "gaze": (read["gaze"] - batch["gaze"]).abs().mean().item(),
            "emotion": hits.float().mean().item(),
            "presence": (read["presence"] > 0.5).float().mean().item(),
        }

    def _rest(self, name: str, read: dict[str, Tensor], batch: dict[str, Tensor]) -> float:
        """Mean of :meth:`_share` over the rows whose labels are all known."""
        rows = batch[name].isfinite().all(1)
        return self._share(name, read[name][rows], batch[name][rows]).mean().item()

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"reader/face": self.net}


def _warped(layer: Tensor, matrix: Tensor, picture: int, crop: int, size: int) -> Tensor:
    """A layer uint8 [B, h, h] of pictures as [B, size, size] in [0, 1] of crops; 0 outside the picture.

    Args:
        layer: smaller than the pictures, or as large.
        matrix: [B, 2, 3], pixels of the pictures to those of the crops.
        picture: side of the pictures.
        crop: side of the crops.
        size: side of what is returned.
    """
    small = matrix * (size / crop)
    small[..., :2] *= picture / layer.shape[-1]
    return warp(layer[:, None].float() / 255, small, size, padding="zeros")[:, 0]
