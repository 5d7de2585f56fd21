"""Train a reader of expressions to make, of a picture, the tokens of its expression on the mean face.

Landmarks say an expression well, since a landmark branch knows where each token stands, but they are some person's.
The linear face with the mean shape, under the picture's expression, pose and gaze, has them without the person; the
branch's tokens of that drawing are what the network learns to make of the picture itself (*ours*: EmojiDiff learns its
tokens from the diffusion loss alone, from which a small base learns too little of them).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.adapters import Branch, load_adapter
from mien.adapters.encoders import LandmarkEncoder
from mien.errors import ConfigError
from mien.faces.alignment import (
    FRAMINGS,
    compose,
    face_place,
    full_precision,
    placed_matrix,
    studio_matrix,
    transform_points,
    warp,
)
from mien.faces.networks import ExpressionReader, StudioFaceNet
from mien.faces.networks.expression_reader import TRUNK
from mien.training.augmentation import BatchRandom, jitter_parts, mirror_matrix, photograph
from mien.training.batches import pictures_to_tensor, spread_rows
from mien.training.export import save_branch
from mien.training.face_labels import mirror_labels
from mien.training.features import landmark_pictures, mean_face_landmarks, training_landmarks
from mien.training.normalisation import recalibrate
from mien.training.objective import Logs, Objective, ObjectiveConfig
from mien.training.parts import ROW

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.sources import Sources


class DistillationConfig(ObjectiveConfig):
    """Options of :class:`DistillationObjective`.

    Attributes:
        landmarks: file of the branch whose tokens are learnt, in the sources.
        channels, depth: of the network, see `ExpressionReader`.
        augment: strength of the damage done to the crops.
        scale, shift: how much the crop is moved, see :func:`jitter_parts`.
    """

    landmarks: str = "adapters/landmarks.safetensors"
    channels: int = 192
    depth: int = 3
    augment: float = 0.5
    scale: float = 0.06
    shift: float = 0.025

    def build(self, sources: Sources) -> DistillationObjective:
        """See the base class."""
        return DistillationObjective(sources, self)


class DistillationObjective(Objective):
    """Mean squared error of the tokens, as a share of their variance over the corpus.

    Args:
        sources: where the face reader is, whose trunk the network starts from, and the landmark branch.
        config: the options.

    Raises:
        ConfigError: if the file holds another branch.
    """

    part = "expression_encoder"
    config_type = DistillationConfig

    def __init__(self, sources: Sources, config: DistillationConfig) -> None:
        super().__init__()
        self.config = config
        self.branch = load_adapter(sources.named(config.landmarks))["landmarks"].float().eval().requires_grad_(False)
        encoder = self.branch.encoder
        if not isinstance(encoder, LandmarkEncoder) or encoder.grid is None:
            raise ConfigError(f"{config.landmarks} is no branch that reads pictures of landmarks: give one.")
        self.drawing, grid = encoder.size, encoder.grid
        reader = StudioFaceNet.from_pretrained(sources.path("reader/face"))
        net = ExpressionReader(
            image_size=reader.config["size"], widths=tuple(reader.config["widths"]), hidden=reader.config["hidden"],
            features=self.branch.config["token_dim"], grid=grid, channels=config.channels,
            depth=config.depth,
        )  # fmt: skip
        net.start_from_reader(reader)
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.variance: Tensor
        self.register_buffer("variance", torch.ones(()))

    def learning_rates(self) -> dict[str, float]:
        """The trunk reads faces already."""
        return {f"net.{name}.": 0.3 for name in TRUNK}

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """The mean of the tokens, from which the network starts, and their variance."""
        self.mean_face = mean_face_landmarks(corpus)
        points = torch.from_numpy(np.asarray(self.mean_face[spread_rows(len(corpus), 2048)], np.float32))
        points = transform_points(studio_matrix(points, 128), points)  # as the crops frame them
        tokens = torch.cat([self.tokens(part) for part in points.split(64)])
        mean = tokens.mean(0)
        self.variance.copy_((tokens - mean).square().mean())
        grid = self.net.config["grid"]
        with torch.no_grad():
            self.net.mean.copy_(mean.T.unflatten(1, (grid, grid))[None])

    @torch.no_grad()
    def tokens(self, points: Tensor) -> Tensor:
        """The branch's tokens [B, N, D] of landmarks [B, 478, 3] in pixels of a picture of side 128."""
        drawn = landmark_pictures(points.cpu().numpy() * (self.drawing / 128), self.drawing)
        return self.branch.encode(torch.from_numpy(drawn).to(self.net.device)).float()

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures with their landmarks, and those of the mean face."""
        return self.rows(corpus, self.mean_face, rng.integers(0, len(corpus), size))

    def rows(self, corpus: Corpus, mean_face: np.ndarray, rows: np.ndarray) -> dict[str, Tensor]:
        """The batch of some rows."""
        return {
            "images": torch.from_numpy(corpus["images"][rows]),
            "landmarks": torch.from_numpy(training_landmarks(corpus, rows)),
            "mean_face": torch.from_numpy(np.asarray(mean_face[rows], np.float32)),
            ROW: torch.from_numpy(rows),
        }

    @full_precision
    def pair(
        self, batch: dict[str, Tensor], jitter: Tensor | None = None, flip: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Crops [B, 3, S, S], and the mean face's landmarks [B, 478, 3] at the same place, in a picture of side 128.

        Args:
            batch: see :meth:`rows`.
            jitter: matrices [B, 2, 3] by which the crops are moved.
            flip: which of them are mirrored [B].
        """
        size = self.net.config["image_size"]
        images = pictures_to_tensor(batch["images"])
        matrix = FRAMINGS[self.net.config["framing"]](batch["landmarks"], size)
        mirrored = torch.zeros(len(images), dtype=torch.bool, device=images.device) if flip is None else flip
        matrix = compose(mirror_matrix(mirrored, size), matrix if jitter is None else compose(jitter, matrix))
        place = face_place(transform_points(matrix, batch["landmarks"])) * (128 / size)
        points = transform_points(mirror_matrix(mirrored, 128), batch["mean_face"])
        points = mirror_labels({"landmarks": points}, mirrored)["landmarks"]
        return warp(images, matrix, size), transform_points(placed_matrix(points, place), points)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        config, size = self.config, self.net.config["image_size"]
        batch_rng = BatchRandom(len(batch["images"]), generator, batch["images"].device)
        jitter, _ = jitter_parts(batch_rng, size, scale=config.scale, turn=0.0, shift=config.shift)
        crops, points = self.pair(batch, jitter, batch_rng.some(0.5))
        crops = photograph(crops, generator, config.augment, 0.3)
        return self._share(self.net(crops), self.tokens(points)), {}

    def _share(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Share of the tokens' variance that is left."""
        return (made.float() - wanted).square().mean() / self.variance

    def calibrate(self, corpus: Corpus) -> None:
        """The batch normalisations; see the base class."""
        recalibrate(self, self.net, corpus)

    @torch.no_grad()
    def gaps(self, corpus: Corpus) -> Logs:
        """Share of variance left on held-out people, against the tokens of the right pictures and of others."""
        held_out = corpus.held_out
        if held_out is None:
            return {}
        faces, logs = mean_face_landmarks(held_out), {"right": 0.0, "shuffled": 0.0}
        rows = spread_rows(len(held_out), 512)
        parts = np.array_split(rows, -(-len(rows) // 32))
        for part in parts:
            batch = {name: value.to(self.net.device) for name, value in self.rows(held_out, faces, part).items()}
            crops, points = self.pair(batch)
            made, wanted = self.net(crops), self.tokens(points)
            logs["right"] += float(self._share(made, wanted)) / len(parts)
            logs["shuffled"] += float(self._share(made, wanted.roll(1, 0))) / len(parts)
        return logs | {"gap": logs["shuffled"] - logs["right"]}

    def extra_state(self) -> dict[str, Tensor]:
        """What :meth:`prepare` measured."""
        return {"variance": self.variance}

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {self.part: self.net}

    def export(self, folder: Path) -> None:
        """``expression_encoder/``, and ``adapters/expression.safetensors``: the landmark branch's keys and values."""
        super().export(folder)
        save_branch(expression_branch(self.branch, self.net.config["features"]), folder, "expression")


def expression_branch(landmarks: Branch, features: int) -> Branch:
    """An expression branch that takes its tokens as they come, with the keys and values of a landmark branch."""
    config = landmarks.config
    branch = Branch(
        "expression", config["blocks"], config["token_dim"], null=config["null"], site=config["site"],
        encoder_config={"feature_dim": features, "tokens": 0, "pooled": False, "grid": landmarks.encoder.grid,
                        "norm": False},
        local=config["local"],
    )  # fmt: skip
    branch.kv.load_state_dict(landmarks.kv.state_dict())
    projection: Any = branch.encoder
    with torch.no_grad():
        projection.proj.weight.copy_(torch.eye(features))
        projection.proj.bias.zero_()
    return branch
