"""Where faces are in a whole picture."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.networks.blocks import ConvNorm, Mixer, Residual, Stem, channels_last

STRIDE = 8


class Detector(ModelMixin, ConfigMixin):
    """A picture shrunk to ``size`` -> one score, place and scale for each 8 px cell (CenterNet's layout).

    A face's place is the centroid and its scale the spread that ``alignment.studio_matrix`` frames faces by, so that a
    detection is a crop.

    Args:
        size: side of the picture.
        widths: channels at 1/4, 1/8 and 1/16.

    Example:
        >>> import torch
        >>> from mien.faces.networks import Detector
        >>> detector = Detector(size=32, widths=(8, 8, 8)).eval()
        >>> [len(faces) for faces in detector.detect(torch.zeros(2, 3, 32, 32))]
        [0, 0]
    """

    @register_to_config
    def __init__(self, size: int = 128, widths: tuple[int, int, int] = (32, 64, 96)) -> None:
        super().__init__()
        a, b, c = widths
        self.near = nn.Sequential(Stem(a), ConvNorm(a, b, 3, 2), Residual(b))
        self.far = nn.Sequential(ConvNorm(b, c, 2, 2), Mixer(c, 7), Mixer(c, 7), nn.Conv2d(c, b, 1))
        self.head = nn.Sequential(Mixer(b), nn.Conv2d(b, 4, 1))
        nn.init.constant_(self.head[1].bias[:1], -4.0)  # type: ignore[index] - faces are rare among cells

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Maps of [B, 3, size, size] in [-1, 1].

        Returns:
            ``score`` [B, h, w] logits, ``offset`` [B, 2, h, w] cells from the cell's centre, ``log_radius`` [B, h, w]
            natural logarithm of the radius in pixels.
        """
        near = self.near(channels_last(pictures))
        far = F.interpolate(self.far(near), scale_factor=2.0, mode="nearest")
        output = self.head(near + far).float()
        return {"score": output[:, 0], "offset": output[:, 1:3], "log_radius": output[:, 3] + 2.0}

    @torch.no_grad()
    def detect(self, pictures: Tensor, threshold: float = 0.5, limit: int = 32) -> list[Tensor]:
        """Faces of each picture, best first: [n, 4] rows (x, y, radius, score), pixels of the ``size`` picture."""
        output = self(pictures)
        score = output["score"].sigmoid()
        peaks = torch.where(F.max_pool2d(score[:, None], 3, 1, 1)[:, 0] == score, score, torch.zeros_like(score))
        found = []
        for b, scores in enumerate(peaks):
            value, index = scores.flatten().topk(min(limit, scores.numel()))
            y, x = index // scores.shape[1], index % scores.shape[1]
            dx, dy = output["offset"][b, :, y, x]
            radius = output["log_radius"][b, y, x].clamp(0.0, 5.0).exp()
            rows = torch.stack([(x + 0.5 + dx) * STRIDE, (y + 0.5 + dy) * STRIDE, radius, value], 1)
            found.append(_distinct(rows[value > threshold]))
        return found


def _distinct(rows: Tensor) -> Tensor:
    """Drop detections that lie inside a better one."""
    kept: list[Tensor] = []
    for row in rows:
        if all((row[:2] - other[:2]).norm() > 1.5 * torch.maximum(row[2], other[2]) for other in kept):
            kept.append(row)
    return torch.stack(kept) if kept else rows[:0]
