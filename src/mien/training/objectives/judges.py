"""Train the judges: other networks, other crops, other seeds, and no label of MediaPipe's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mien.faces.alignment import (
    compose,
    filtered_crop,
    filtered_crops,
    full_precision,
    judge_face_crops,
    judge_face_matrix,
    judge_gaze_crops,
    judge_gaze_matrices,
    judge_identity_matrix,
)
from mien.faces.linear.arkit import KIT_NAMES
from mien.faces.networks import JudgeAttributes, JudgeFace, JudgeGaze, JudgeIdentity
from mien.faces.networks.reader_net import POSE_UNIT
from mien.training.augmentation import BatchRandom, jitter_matrix, jitter_parts, mirror_matrix, photograph
from mien.training.batches import spread_rows
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
from mien.training.normalisation import recalibrate
from mien.training.objective import Logs, Objective, ObjectiveConfig
from mien.training.objectives.identity import IdentityConfig, IdentityObjective

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.sources import Sources


Judge = TypeVar("Judge", JudgeFace, JudgeGaze, JudgeAttributes)


class JudgeIdentityConfig(IdentityConfig):
    """Options of :class:`JudgeIdentityObjective`: those of the identity embedder, with other values."""

    margin: float = 0.3
    augment: float = 0.5

    def build(self, sources: Sources) -> JudgeIdentityObjective:
        """See the base class."""
        return JudgeIdentityObjective(self)


class JudgeIdentityObjective(IdentityObjective):
    """The same loss for another network on a closer crop."""

    part = "judges/identity"
    config_type = JudgeIdentityConfig

    def __init__(self, config: JudgeIdentityConfig | None = None) -> None:
        super().__init__(config or JudgeIdentityConfig())

    def build(self) -> nn.Module:
        """The judge."""
        return JudgeIdentity()

    def matrix(self, landmarks: Tensor, size: int) -> Tensor:
        """The judge's crop."""
        return judge_identity_matrix(landmarks, size)


class JudgeConfig(ObjectiveConfig):
    """Options of every judge of labels.

    Attributes:
        augment: strength of the augmentation.
    """

    augment: float = 0.5


class _JudgeObjective(Objective, Generic[Judge]):
    """What the judges of labels share."""

    part: str
    net: Judge

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.augment = config.augment
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

    def calibrate(self, corpus: Corpus) -> None:
        """The batch normalisations; see the base class."""
        recalibrate(self, self.net, corpus)

    def validate(self, corpus: Corpus) -> Logs:
        """Errors on held-out people, pictures as they are."""
        return self.errors(*self.readings(corpus))

    def readings(self, corpus: Corpus) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What the judge reads in N held-out pictures as they are, and their labels."""
        held_out = corpus.held_out or corpus
        read, truth = [], []
        rows = spread_rows(len(held_out), 2048)
        for part in np.array_split(rows, min(32, len(rows))):
            batch = {name: value.to(self.net.device) for name, value in self.rows(held_out, part).items()}
            read.append(self.read(batch))
            truth.append({name: batch[name] for name in batch if name != "images"})
        whole = [{name: torch.cat([one[name] for one in of]) for name in of[0]} for of in (read, truth)]
        return whole[0], whole[1]

    def read(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the judge reads in pictures as they are, in the labels' units."""
        raise NotImplementedError

    def errors(self, read: dict[str, Tensor], truth: dict[str, Tensor]) -> Logs:
        """What ``validate`` tells, from N readings and labels."""
        raise NotImplementedError

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {self.part: self.net}


class JudgeFaceConfig(JudgeConfig):
    """Options of :class:`JudgeFaceObjective`.

    Attributes:
        size: side of the crops in pixels.
    """

    size: int = 128

    def build(self, sources: Sources) -> JudgeFaceObjective:
        """See the base class."""
        return JudgeFaceObjective(self)


class JudgeFaceObjective(_JudgeObjective[JudgeFace]):
    """Driven coefficients, pose, gaze and emotion of the renderer.

    Coefficients: the squared error as a share of what answering with the mean would cost, over all coefficients
    together and for each of them by itself. Without such a scale (cross-entropy, absolute error) a network does well
    by answering zero, since most coefficients are zero in most faces.

    Args:
        config: the options.
    """

    part = "judges/face"

    config_type = JudgeFaceConfig

    def __init__(self, config: JudgeFaceConfig | None = None) -> None:
        config = config or JudgeFaceConfig()
        super().__init__(config)
        self.net = JudgeFace(widths=(48, 96, 192), depths=(2, 3, 3), size=config.size, pool=4).to(
            memory_format=torch.channels_last  # type: ignore[call-overload]
        )
        self.classes = {}
        self._variances = torch.ones(len(KIT_NAMES))

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """How much each coefficient varies in the corpus; hardly used ones count as if they varied a little."""
        variances = torch.from_numpy(np.asarray(corpus["coefficients"], np.float32).var(0))
        self._variances = variances.clamp_min(0.1 * float(variances.mean()))

    @full_precision
    def _augmented(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        images, size = batch["images"], self.net.config["size"]
        batch_rng = BatchRandom(len(images), generator, images.device)
        jitter, degrees = jitter_parts(batch_rng, size, scale=0.06, turn=4.0, shift=0.025)
        flip = batch_rng.some(0.5)
        matrix = compose(mirror_matrix(flip, size), compose(jitter, judge_face_matrix(batch["landmarks"], size)))
        labels = mirror_labels(batch | {"pose": turn_pose(batch["pose"], degrees)}, flip)
        crops = filtered_crop(images, matrix, size)
        return labels | {"crops": photograph(crops, generator, self.augment, 0.1)}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        labels = self._augmented(batch, generator)
        outputs = self.net(labels["crops"])
        variances = self._variances.to(labels["coefficients"].device)
        weights = torch.ones_like(variances)
        weights[list(EYES)] = 2.0
        square = (outputs["coefficients"].sigmoid() - labels["coefficients"]).square().mean(0) * weights
        driven = 0.5 * square.sum() / (variances * weights).sum() + 0.5 * (square / variances).mean()
        pose = (outputs["pose"] - labels["pose"] / POSE_UNIT).abs().sum(1).mean()
        gaze = (outputs["gaze"] - labels["gaze"] / POSE_UNIT).abs().sum(1).mean()
        classes, circumplex = emotion_loss(outputs["emotion"], outputs["circumplex"], labels["emotion"])
        emotion = classes.mean() + circumplex.mean()
        logs = {"driven": driven, "pose": pose, "gaze": gaze, "emotion": emotion}
        total = 4 * driven + pose + gaze + 0.3 * emotion
        return total, {name: value.detach() for name, value in logs.items()}  # type: ignore[misc]

    def read(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """See the base class."""
        return self.net.predict(judge_face_crops(batch["images"], batch["landmarks"], self.net.config["size"]))

    def calibrate(self, corpus: Corpus) -> None:
        """Also how well each coefficient is read on held-out people, which scores heed; see the base class."""
        super().calibrate(corpus)
        read, truth = self.readings(corpus)
        _, each = determination(read["coefficients"], truth["coefficients"])
        by_name = {name: round(value, 3) for name, value in zip(KIT_NAMES, each.tolist(), strict=True)}
        self.net.register_to_config(determination=by_name)

    def errors(self, read: dict[str, Tensor], truth: dict[str, Tensor]) -> Logs:
        """R2 of the coefficients together and how many have one below 0.2; mean absolute errors; right emotions."""
        pooled, each = determination(read["coefficients"], truth["coefficients"])
        pose = (read["pose"] - truth["pose"]).abs().mean(0)
        hits = read["emotion"][:, 2:].argmax(1) == truth["emotion"][:, 2:].argmax(1)
        return {
            "r2": pooled,
            "unseen": float((each < JudgeFace.LEGIBLE).sum()),
            "driven": (read["coefficients"] - truth["coefficients"]).abs().mean().item(),
            "yaw": pose[0].item(),
            "pitch": pose[1].item(),
            "roll": pose[2].item(),
            "gaze": (read["gaze"] - truth["gaze"]).abs().mean().item(),
            "emotion": hits.float().mean().item(),
        }


def determination(read: Tensor, truth: Tensor) -> tuple[float, Tensor]:
    """Coefficient of determination of readings [N, K]: of all K together, and of each [K].

    R2 = 1 - sum (read - truth)^2 / sum (truth - mean)^2; 1 is exact, 0 what answering with the mean gives.
    """
    rest = (read - truth).square().sum(0)
    spread = (truth - truth.mean(0)).square().sum(0)
    return 1 - (rest.sum() / spread.sum()).item(), 1 - rest / spread.clamp_min(1e-9)


class JudgeGazeConfig(JudgeConfig):
    """Options of :class:`JudgeGazeObjective`."""

    def build(self, sources: Sources) -> JudgeGazeObjective:
        """See the base class."""
        return JudgeGazeObjective(self)


class JudgeGazeObjective(_JudgeObjective[JudgeGaze]):
    """Where the eyes look, in degrees against the head, as the renderer turned them.

    Args:
        config: the options.
    """

    part = "judges/gaze"

    config_type = JudgeGazeConfig

    def __init__(self, config: JudgeGazeConfig | None = None) -> None:
        super().__init__(config or JudgeGazeConfig())
        self.net = JudgeGaze().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes = {}

    @full_precision
    def _augmented(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images, size = batch["images"], self.net.config["size"]
        batch_rng = BatchRandom(len(images), generator, images.device)
        flip = batch_rng.some(0.5)
        matrices = judge_gaze_matrices(batch["landmarks"], size)
        jittered = [
            compose(jitter_parts(batch_rng, size, scale=0.08, turn=4.0, shift=0.04)[0], matrices[:, index])
            for index in range(3)
        ]
        mirror = mirror_matrix(flip, size)
        crops = filtered_crops(images, torch.stack([compose(mirror, one) for one in jittered], 1), size)
        # in a mirror the subject's right eye is the left one
        crops = torch.where(flip[:, None, None, None, None], crops[:, [1, 0, 2]], crops)
        shown = photograph(crops.flatten(0, 1), generator, self.augment, 0.05).unflatten(0, (-1, 3))
        return shown, mirror_labels({"gaze": batch["gaze"]}, flip)["gaze"]

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        crops, gaze = self._augmented(batch, generator)
        difference = self.net(crops) - gaze / POSE_UNIT
        return difference.abs().sum(1).mean() + 2 * difference.square().sum(1).mean(), {}

    def read(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """See the base class."""
        crops = judge_gaze_crops(batch["images"], batch["landmarks"], self.net.config["size"])
        return {"gaze": self.net.predict(crops)}

    def errors(self, read: dict[str, Tensor], truth: dict[str, Tensor]) -> Logs:
        """R2 over both angles, and mean absolute errors where the eyes are open, in degrees."""
        lids = truth["coefficients"][:, [KIT_NAMES.index("eyeBlink_L"), KIT_NAMES.index("eyeBlink_R")]]
        open_eyes = lids.amin(1) < 0.6
        read_open, truth_open = read["gaze"][open_eyes], truth["gaze"][open_eyes]
        away = (read_open - truth_open).abs().mean(0)
        return {"r2": determination(read_open, truth_open)[0], "yaw": away[0].item(), "pitch": away[1].item()}


class JudgeAttributesConfig(JudgeConfig):
    """Options of :class:`JudgeAttributesObjective`."""

    augment: float = 0.4

    def build(self, sources: Sources) -> JudgeAttributesObjective:
        """See the base class."""
        return JudgeAttributesObjective(self)


class JudgeAttributesObjective(_JudgeObjective[JudgeAttributes]):
    """Hair, beard, glasses, skin tone, age and gender from the whole picture."""

    part = "judges/attributes"

    config_type = JudgeAttributesConfig

    def __init__(self, config: JudgeAttributesConfig | None = None) -> None:
        super().__init__(config or JudgeAttributesConfig())
        self.net = JudgeAttributes(classes=self.classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @full_precision
    def _augmented(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        images = batch["images"]
        batch_rng = BatchRandom(len(images), generator, images.device)
        jitter = jitter_matrix(batch_rng, 96, scale=0.06, turn=4.0, shift=0.03, flip=batch_rng.some(0.5))
        crops = filtered_crop(images, compose(jitter, _whole(images)), 96)
        return photograph(crops, generator, self.augment, 0.1)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        loss = attribute_loss(self.net(self._augmented(batch, generator)), batch, self.classes).mean()
        return loss, {}

    def read(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """See the base class."""
        images = batch["images"]
        return self.net.predict(filtered_crop(images, _whole(images), 96))

    def errors(self, read: dict[str, Tensor], truth: dict[str, Tensor]) -> Logs:
        """Accuracy of each named attribute, mean absolute error of the numbers."""
        logs: Logs = {name: accuracy(read[name], truth[name]) for name in self.classes}
        for name in ("skin_tone", "age", "gender"):
            logs[name] = (read[name][:, 0] - truth[name]).abs().mean().item()
        return logs


def _whole(images: Tensor) -> Tensor:
    """Matrices [B, 2, 3] that shrink whole pictures to 96 px."""
    scale = 96 / images.shape[1]
    return torch.tensor([[scale, 0.0, 0.0], [0.0, scale, 0.0]], device=images.device).expand(len(images), 2, 3)
