"""Train the detector on collages: faces of any size anywhere on cluttered ground, and pictures without any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.alignment import face_place, full_precision, scale_and_shift, warp
from mien.faces.networks import Detector
from mien.faces.networks.detector import STRIDE
from mien.training.augmentation import BatchRandom, photograph, random_texture
from mien.training.batches import spread_rows
from mien.training.features import training_landmarks
from mien.training.normalisation import recalibrate
from mien.training.objective import Logs, Objective, ObjectiveConfig
from mien.training.parts import ROW

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.sources import Sources

SLOTS = 3


class DetectorConfig(ObjectiveConfig):
    """Options of :class:`DetectorObjective`.

    Attributes:
        augment: strength of the augmentation.
    """

    augment: float = 1.0

    def build(self, sources: Sources) -> DetectorObjective:
        """See the base class."""
        return DetectorObjective(self)


class DetectorObjective(Objective):
    """CenterNet's loss (Zhou et al. 2019): penalty-reduced focal loss of the score map, absolute errors at the centres.

    Args:
        config: the options.
    """

    config_type = DetectorConfig

    def __init__(self, config: DetectorConfig | None = None) -> None:
        super().__init__()
        self.config = config or DetectorConfig()
        self.net = Detector().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._places: tuple[int, np.ndarray] = (0, np.empty(0))

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures with the place and radius of the face, [B, 3] pixels."""
        if self._places[0] != id(corpus):
            self._places = id(corpus), face_place(torch.from_numpy(training_landmarks(corpus))).numpy()
        rows = rng.integers(0, len(corpus), size)
        return {"images": torch.from_numpy(corpus["images"][rows]), "place": torch.from_numpy(self._places[1][rows]),
                ROW: torch.from_numpy(rows)}  # fmt: skip

    @full_precision
    def collage(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures made of the batch's renders.

        Each gets up to ``SLOTS`` renders of one scale each, pasted with hard or soft edges over clouds; the face is
        blurred out of some of them, so that neither an edge nor hair means a face.

        Returns:
            Pictures [B, 3, S, S]; faces [B, SLOTS, 3] (x, y, radius in pixels); which of them can be seen [B, SLOTS].
        """
        size = self.net.config["size"]
        renders = batch["images"].permute(0, 3, 1, 2).float() / 127.5 - 1
        side = renders.shape[-1]
        count = len(renders)
        batch_rng = BatchRandom(count, generator, renders.device)
        # ground: clouds, or another render out of focus, which has the colours of a room and a person in it
        blurred = F.adaptive_avg_pool2d(renders.roll(11, 0), 9)
        blurred = F.interpolate(blurred, size=(size, size), mode="bilinear", align_corners=False)
        canvas = torch.where(batch_rng.some(0.5)[:, None, None, None], blurred, random_texture(batch_rng, size))
        axis = (torch.arange(side, device=renders.device) + 0.5) / side * 2 - 1
        rim = (axis.abs()[None] ** 6 + axis.abs()[:, None] ** 6) ** (1 / 6)
        number = batch_rng.uniform(0, 1)
        wanted = (number > 0.12).long() + (number > 0.6).long() + (number > 0.85).long()
        faces, seen = [], []
        for slot in range(SLOTS):
            order = torch.roll(torch.arange(count, device=renders.device), slot * 7)
            scale = (batch_rng.uniform(-1.9, 0.45) if slot == 0 else batch_rng.uniform(-1.9, -0.35)).exp() * size / side
            place = batch["place"][order].float()
            # the face's centre may lie anywhere in the picture
            target = batch_rng.uniform(0.08, 0.92, 2) * size
            shift = target - scale[:, None] * place[:, :2]
            matrix = scale_and_shift(scale, shift)
            softness = batch_rng.uniform(0.02, 0.35, 1, 1, 1)
            alpha = ((1 - rim) / softness).clamp(0, 1)
            # beyond its rim a render that is large simply goes on, as a photograph does
            alpha = torch.where(
                (batch_rng.some(0.4) & (scale > 0.8))[:, None, None, None], torch.ones_like(alpha), alpha
            )
            source = renders[order]
            blank = batch_rng.some(0.2)
            source = torch.where(blank[:, None, None, None], _without_face(source, place), source)
            layers = warp(torch.cat([source, alpha], 1), matrix, size, padding="zeros")
            cover = layers[:, 3:] / alpha.amax((2, 3), keepdim=True).clamp_min(1e-3)
            present = slot < wanted
            cover = cover * present[:, None, None, None]
            canvas = torch.lerp(canvas, layers[:, :3], cover)
            for index, (_, earlier) in enumerate(zip(faces, seen, strict=True)):
                at = (faces[index][:, :2] / size * 2 - 1)[:, None, None]
                hidden = F.grid_sample(cover, at, align_corners=False)[:, 0, 0, 0] > 0.3
                seen[index] = earlier & ~hidden
            faces.append(torch.cat([target, (scale * place[:, 2])[:, None]], 1))
            seen.append(present & ~blank)
        canvas = photograph(canvas, generator, self.config.augment, 0.3)
        return canvas, torch.stack(faces, 1), torch.stack(seen, 1)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        pictures, faces, seen = self.collage(batch, generator)
        output = self.net(pictures)
        score = output["score"]
        cells = score.shape[-1]
        heat, cell, offset = heat_targets(faces, seen, cells)
        probability = score.sigmoid().clamp(1e-4, 1 - 1e-4)
        hit = torch.zeros_like(heat).flatten(1).scatter_reduce(1, cell, seen.float(), "amax").view_as(heat)
        positive = hit * (1 - probability).square() * probability.log()
        negative = (1 - hit) * (1 - heat).pow(4) * probability.square() * (1 - probability).log()
        number = seen.sum().clamp_min(1)
        focal = -(positive + negative).sum() / number
        at = lambda values: values.flatten(2).gather(2, cell[:, None].expand(-1, values.shape[1], -1))  # noqa: E731
        moved = (at(output["offset"]) - offset.transpose(1, 2)).abs().sum(1)
        sized = (at(output["log_radius"][:, None])[:, 0] - faces[..., 2].clamp_min(1).log()).abs()
        place = ((moved + sized) * seen).sum() / number
        return focal + place, {"focal": focal.detach(), "place": place.detach()}  # type: ignore[dict-item]

    def calibrate(self, corpus: Corpus) -> None:
        """The batch normalisations; see the base class."""
        recalibrate(self, self.net, corpus)

    def validate(self, corpus: Corpus) -> Logs:
        """On collages of held-out people: share of faces found, share of detections that are faces, place and size."""
        device = self.net.device

        held_out = corpus.held_out or corpus
        found = wanted = right = claimed = 0
        errors: list[float] = []
        for step, rows in enumerate(np.array_split(spread_rows(len(held_out), 512), 8)):
            rng = np.random.default_rng([2, step])
            batch = {k: v.to(device) for k, v in self.batch(held_out, rng, len(rows)).items()}
            pictures, faces, seen = self.collage(batch, torch.Generator(device).manual_seed(step))
            for rows_found, truth, visible in zip(self.net.detect(pictures), faces, seen, strict=True):
                inside = (truth[:, :2] > 0).all(1) & (truth[:, :2] < pictures.shape[-1]).all(1)
                real = truth[visible & inside]
                near = (rows_found[:, None, :2] - real[None, :, :2]).norm(dim=-1) < real[None, :, 2]
                wanted, claimed = wanted + len(real), claimed + len(rows_found)
                found, right = found + int(near.any(0).sum()), right + int(near.any(1).sum())
                for i, j in near.nonzero().tolist():
                    errors.append(((rows_found[i, :2] - real[j, :2]).norm() / real[j, 2]).item())
        self._places = (0, np.empty(0))
        return {
            "recall": found / max(wanted, 1),
            "precision": right / max(claimed, 1),
            "place": float(np.mean(errors)) if errors else float("nan"),
        }

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"reader/detector": self.net}


def _without_face(renders: Tensor, place: Tensor) -> Tensor:
    """Renders [B, 3, S, S] whose face, at ``place`` [B, 3], is blurred beyond recognition: hair and shoulders stay."""
    side = renders.shape[-1]
    cloudy = F.interpolate(F.adaptive_avg_pool2d(renders, 4), size=(side, side), mode="bilinear", align_corners=False)
    axis = torch.arange(side, device=renders.device) + 0.5
    left, top, radius = place[:, :, None, None].unbind(1)
    x, y = axis[None, None] - left, axis[None, :, None] - top - 0.3 * radius
    distance = (x.square() + y.square()).sqrt() / radius
    return torch.lerp(renders, cloudy, (2.4 - distance).clamp(0, 1)[:, None])


def heat_targets(faces: Tensor, seen: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """What the score map should be.

    Args:
        faces: [B, n, 3] (x, y, radius) pixels.
        seen: [B, n] booleans.
        cells: side of the map.

    Returns:
        Heat [B, cells, cells] that falls off from 1 at each face's cell, the cell's number [B, n], and the offset
        [B, n, 2] of the face from the cell's centre, in cells.
    """
    position = faces[..., :2] / STRIDE
    cell = position.floor().clamp(0, cells - 1)
    axis = torch.arange(cells, device=faces.device)
    dx, dy = axis - cell[..., :1], axis - cell[..., 1:]
    spread_of = (faces[..., 2] / STRIDE * 0.5).clamp_min(0.5)[..., None, None]
    heat = torch.exp(-(dx[:, :, None, :].square() + dy[:, :, :, None].square()) / (2 * spread_of.square()))
    heat = (heat * seen[..., None, None]).amax(1)
    return heat, (cell[..., 1] * cells + cell[..., 0]).long(), position - cell - 0.5
