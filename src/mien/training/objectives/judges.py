"""Train the judges: other networks, other crops, other seeds, and no label of MediaPipe's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.alignment import compose, full_precision, judge_face_matrix, judge_identity_matrix, warp
from mien.faces.networks import JudgeAttributes, JudgeFace, JudgeIdentity
from mien.faces.networks.reader_net import POSE_UNIT
from mien.training.augmentation import BatchRandom, jitter_matrix, jitter_parts, mirror_matrix, photograph
from mien.training.batches import spread_rows
from mien.training.face_labels import (
    accuracy,
    attribute_classes,
    attribute_loss,
    emotion_loss,
    label_batch,
    mirror_labels,
    turn_pose,
)
from mien.training.normalisation import recalibrate
from mien.training.objective import Logs, Objective
from mien.training.objectives.identity import IdentityObjective

if TYPE_CHECKING:
    from mien.data.corpus import Corpus


class JudgeIdentityObjective(IdentityObjective):
    """The same loss for another network on a closer crop."""

    part = "judges/identity"

    def __init__(self, margin: float = 0.3, scale: float = 32.0, augment: float = 0.5, people: int = 200) -> None:
        super().__init__(margin, scale, augment, people)

    def build(self) -> nn.Module:
        """The judge."""
        return JudgeIdentity()

    def matrix(self, landmarks: Tensor, size: int) -> Tensor:
        """The judge's crop."""
        return judge_identity_matrix(landmarks, size)


class _JudgeObjective(Objective):
    """What the two judges of labels share."""

    part: str
    net: JudgeFace | JudgeAttributes

    def __init__(self, augment: float) -> None:
        super().__init__()
        self.augment = augment
        self.classes = attribute_classes()

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures with labels; the landmarks are the renderer's own and place the crop only."""
        return self.rows(corpus, rng.integers(0, len(corpus), size))

    def rows(self, corpus: Corpus, rows: np.ndarray) -> dict[str, Tensor]:
        """Pictures and labels of the given rows."""
        return label_batch(corpus, rows, self.classes) | {
            "images": torch.from_numpy(corpus["images"][rows]),
            "landmarks": torch.from_numpy(corpus["landmarks"][rows].astype(np.float32)),
        }

    def validate(self, corpus: Corpus) -> Logs:
        """Errors on held-out people, pictures as they are."""
        recalibrate(self, self.net, corpus)
        held_out = corpus.held_out or corpus
        logs: dict[str, list[float]] = {}
        for part in np.array_split(spread_rows(len(held_out), 1024), 16):
            batch = {k: v.to(self.net.device) for k, v in self.rows(held_out, part).items()}
            for name, value in self.errors(batch).items():
                logs.setdefault(name, []).append(value)
        return {name: float(np.mean(values)) for name, values in logs.items()}

    def errors(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """What ``validate`` averages."""
        raise NotImplementedError

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {self.part: self.net}


def _pictures(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


class JudgeFaceObjective(_JudgeObjective):
    """Driven coefficients, pose, gaze and emotion of the renderer."""

    part = "judges/face"

    def __init__(self, augment: float = 0.5) -> None:
        super().__init__(augment)
        self.net = JudgeFace().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes = {}

    @full_precision
    def _augmented(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        images = _pictures(batch["images"])
        dice = BatchRandom(len(images), generator, images.device)
        jitter, degrees = jitter_parts(dice, 96, scale=0.06, turn=4.0, shift=0.025)
        flip = dice.some(0.5)
        matrix = compose(mirror_matrix(flip, 96), compose(jitter, judge_face_matrix(batch["landmarks"])))
        labels = mirror_labels(batch | {"pose": turn_pose(batch["pose"], degrees)}, flip)
        return labels | {"crops": photograph(warp(images, matrix, 96), generator, self.augment, 0.1)}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        labels = self._augmented(batch, generator)
        outputs = self.net(labels["crops"])
        driven = F.binary_cross_entropy_with_logits(outputs["coefficients"], labels["coefficients"])
        pose = (outputs["pose"] - labels["pose"] / POSE_UNIT).abs().sum(1).mean()
        gaze = (outputs["gaze"] - labels["gaze"] / POSE_UNIT).abs().sum(1).mean()
        classes, circumplex = emotion_loss(outputs["emotion"], outputs["circumplex"], labels["emotion"])
        emotion = classes.mean() + circumplex.mean()
        logs = {"driven": driven, "pose": pose, "gaze": gaze, "emotion": emotion}
        total = 4 * driven + pose + gaze + 0.3 * emotion
        return total, {name: value.detach() for name, value in logs.items()}  # type: ignore[misc]

    @torch.no_grad()
    def errors(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Mean absolute errors, and how often the most probable emotion is right."""
        read = self.net.predict(warp(_pictures(batch["images"]), judge_face_matrix(batch["landmarks"]), 96))
        pose = (read["pose"] - batch["pose"]).abs().mean(0)
        hits = read["emotion"][:, 2:].argmax(1) == batch["emotion"][:, 2:].argmax(1)
        return {
            "driven": (read["coefficients"] - batch["coefficients"]).abs().mean().item(),
            "yaw": pose[0].item(),
            "pitch": pose[1].item(),
            "roll": pose[2].item(),
            "gaze": (read["gaze"] - batch["gaze"]).abs().mean().item(),
            "emotion": hits.float().mean().item(),
        }


class JudgeAttributesObjective(_JudgeObjective):
    """Hair, beard, glasses, skin tone, age and gender from the whole picture."""

    part = "judges/attributes"

    def __init__(self, augment: float = 0.4) -> None:
        super().__init__(augment)
        self.net = JudgeAttributes(classes=self.classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @full_precision
    def _augmented(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        images = _pictures(batch["images"])
        dice = BatchRandom(len(images), generator, images.device)
        jitter = jitter_matrix(dice, 96, scale=0.06, turn=4.0, shift=0.03, flip=dice.some(0.5))
        crops = warp(images, compose(jitter, _whole(images)), 96)
        return photograph(crops, generator, self.augment, 0.1)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        loss = attribute_loss(self.net(self._augmented(batch, generator)), batch, self.classes).mean()
        return loss, {}

    @torch.no_grad()
    def errors(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Accuracy of each named attribute, mean absolute error of the numbers."""
        images = _pictures(batch["images"])
        read = self.net.predict(warp(images, _whole(images), 96))
        logs = {name: accuracy(read[name], batch[name]) for name in self.classes}
        for name in ("skin_tone", "age", "gender"):
            logs[name] = (read[name][:, 0] - batch[name]).abs().mean().item()
        return logs


def _whole(images: Tensor) -> Tensor:
    """Matrices [B, 2, 3] that shrink whole pictures to 96 px."""
    scale = 96 / images.shape[-1]
    return torch.tensor([[scale, 0.0, 0.0], [0.0, scale, 0.0]], device=images.device).expand(len(images), 2, 3)
