"""Judges: networks that only measure. Another architecture, other crops, other seeds than what they judge.

Ours read pixel blocks through batch-normalised convolutions; these are small ConvNeXts (Liu et al. 2022): patches, wide
depthwise kernels, layer normalisation, a mean over places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.linear.arkit import KIT_NAMES
from mien.faces.networks.blocks import channels_last
from mien.faces.networks.classes import in_layout
from mien.faces.networks.reader_net import POSE_UNIT


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of [B, C, H, W]."""

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class NextBlock(nn.Module):
    """ConvNeXt block: depthwise, normalise, widen four times, GELU, narrow, add."""

    def __init__(self, channels: int, kernel: int = 5) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, channels * 4)
        self.narrow = nn.Linear(channels * 4, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        y = self.norm(self.spread(x).permute(0, 2, 3, 1))
        y = self.narrow(F.gelu(self.widen(y))) * self.scale
        return x + y.permute(0, 3, 1, 2)


class NextTrunk(nn.Sequential):
    """[B, 3, H, W] -> [B, C, H/16, W/16]."""

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0])]
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if index:
                layers += [ChannelNorm(widths[index - 1]), nn.Conv2d(widths[index - 1], width, 2, 2)]
            layers += [NextBlock(width) for _ in range(depth)]
        super().__init__(*layers, ChannelNorm(widths[-1]))


class JudgeIdentity(ModelMixin, ConfigMixin):
    """Who: [B, 3, 96, 96] crops aligned by ``alignment.judge_identity_matrix`` -> [B, 256] of L2 norm 1.

    Example:
        >>> import torch
        >>> from mien.faces.networks import JudgeIdentity
        >>> judge = JudgeIdentity(widths=(8, 8, 8), depths=(1, 1, 1), embedding=16).eval()
        >>> judge(torch.zeros(2, 3, 96, 96)).shape
        torch.Size([2, 16])
    """

    @register_to_config
    def __init__(
        self, widths: tuple[int, ...] = (48, 96, 176), depths: tuple[int, ...] = (1, 2, 2), embedding: int = 256
    ) -> None:
        super().__init__()
        self.trunk = NextTrunk(widths, depths)
        self.project = nn.Linear(widths[-1], embedding)

    def features(self, crops: Tensor) -> Tensor:
        """[B, C], the pooled features (for Frechet and kernel distances)."""
        return self.trunk(channels_last(crops)).mean((2, 3)).float()

    def forward(self, crops: Tensor) -> Tensor:
        """See the class."""
        return F.normalize(self.project(self.features(crops)).float(), dim=-1)


class JudgeFace(ModelMixin, ConfigMixin):
    """Which face it makes: the renderer's driven coefficients, pose, gaze and emotion; never sees a MediaPipe label.

    Reads [B, 3, size, size] crops of ``alignment.judge_face_matrix`` (upright squares, so that the roll stays visible).

    Args:
        widths, depths: channels and blocks of each stage.
        size: side of the crops in pixels.
        pool: rows and columns of the places at which features are read, beside their mean over all places.
        determination: how well each coefficient is read on exact renders of held-out people: its name -> R2; empty
            where nobody measured it.

    Example:
        >>> import torch
        >>> from mien.faces.networks import JudgeFace
        >>> judge = JudgeFace(widths=(8, 8, 8), depths=(1, 1, 1)).eval()
        >>> judge.predict(torch.zeros(2, 3, 96, 96))["coefficients"].shape
        torch.Size([2, 53])
    """

    LEGIBLE: ClassVar[float] = 0.2
    """R2 below which a coefficient counts as not visible to this judge."""
    LENGTHS: ClassVar[dict[str, int]] = {"coefficients": 53, "pose": 3, "gaze": 2, "emotion": 8, "circumplex": 2}

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (40, 80, 152),
        depths: tuple[int, ...] = (1, 2, 2),
        size: int = 96,
        pool: int = 3,
        determination: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = NextTrunk(widths, depths)
        self.head = nn.Linear(widths[-1] * (1 + pool * pool), sum(self.LENGTHS.values()))

    @property
    def seen(self) -> list[int]:
        """Indices into `KIT_NAMES` of the coefficients that this judge can read; no score counts the others."""
        read = self.config["determination"] or {}
        return [index for index, name in enumerate(KIT_NAMES) if read.get(name, 1.0) >= self.LEGIBLE]

    def forward(self, crops: Tensor) -> dict[str, Tensor]:
        """Raw outputs: logits, and degrees / ``POSE_UNIT`` for ``pose`` and ``gaze``."""
        features = self.trunk(channels_last(crops))
        places = F.adaptive_avg_pool2d(features, self.config["pool"])
        pooled = torch.cat([features.mean((2, 3)), places.flatten(1)], 1)
        return dict(zip(self.LENGTHS, self.head(pooled).float().split(list(self.LENGTHS.values()), 1), strict=True))

    @torch.no_grad()
    def predict(self, crops: Tensor) -> dict[str, Tensor]:
        """``coefficients`` [B, 53] in [0, 1], ``pose`` [B, 3] and ``gaze`` [B, 2] degrees, ``emotion`` [B, 10]."""
        raw = self(crops)
        return {
            "coefficients": raw["coefficients"].sigmoid(),
            "pose": raw["pose"] * POSE_UNIT,
            "gaze": raw["gaze"] * POSE_UNIT,
            "emotion": torch.cat([raw["circumplex"].tanh(), raw["emotion"].softmax(1)], 1),
        }


class JudgeGaze(ModelMixin, ConfigMixin):
    """Where the eyes look, against the head: from a crop of each eye and one of the whole face, which shows the pose.

    Args:
        widths, depths: channels and blocks of each stage of the trunks.
        size: side of each crop in pixels.

    Example:
        >>> import torch
        >>> from mien.faces.networks import JudgeGaze
        >>> judge = JudgeGaze(widths=(8, 8, 8), depths=(1, 1, 1)).eval()
        >>> judge.predict(torch.zeros(2, 3, 3, 64, 64)).shape
        torch.Size([2, 2])
    """

    @register_to_config
    def __init__(
        self, widths: tuple[int, ...] = (32, 64, 96), depths: tuple[int, ...] = (1, 2, 2), size: int = 64
    ) -> None:
        super().__init__()
        self.eye = NextTrunk(widths, depths)
        self.face = NextTrunk(widths, depths)
        self.hidden = nn.Linear(widths[-1] * 16 * 3, 128)
        self.head = nn.Linear(128, 2)

    def forward(self, crops: Tensor) -> Tensor:
        """Yaw and pitch in units of ``POSE_UNIT`` degrees, [B, 2].

        Args:
            crops: [B, 3, 3, size, size], each picture's crops of ``alignment.judge_gaze_matrices``: right eye, left
                eye, face.
        """
        trunks = (self.eye, self.eye, self.face)
        seen = [trunk(channels_last(crops[:, index])) for index, trunk in enumerate(trunks)]
        pooled = torch.cat([F.adaptive_avg_pool2d(one, 4).flatten(1) for one in seen], 1)
        return self.head(F.gelu(self.hidden(pooled))).float()

    @torch.no_grad()
    def predict(self, crops: Tensor) -> Tensor:
        """Gaze [B, 2] in degrees against the head: yaw + to the subject's left, pitch + up."""
        return self(crops) * POSE_UNIT


class JudgeAttributes(ModelMixin, ConfigMixin):
    """What a person looks like: named attributes, skin tone, age, gender, from the whole picture at 96 px.

    Example:
        >>> import torch
        >>> from mien.faces.networks import JudgeAttributes
        >>> judge = JudgeAttributes(widths=(8, 8, 8), depths=(1, 1, 1), classes={"glasses": ["none", "round"]}).eval()
        >>> judge.predict(torch.zeros(2, 3, 96, 96))["glasses"].shape
        torch.Size([2, 2])
    """

    last = "head"

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 120),
        depths: tuple[int, ...] = (1, 1, 2),
        classes: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = NextTrunk(widths, depths)
        self.classes = in_layout(classes)
        self.lengths = {"skin_tone": 1, "age": 1, "gender": 1} | {k: len(v) for k, v in self.classes.items()}
        self.head = nn.Linear(widths[-1], sum(self.lengths.values()))

    def features(self, pictures: Tensor) -> Tensor:
        """[B, C], the pooled features (for Frechet and kernel distances)."""
        return self.trunk(channels_last(pictures)).mean((2, 3)).float()

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Raw outputs of [B, 3, 96, 96]."""
        return self._answers(self.features(pictures))

    def _answers(self, features: Tensor) -> dict[str, Tensor]:
        output = self.head(features).float()
        return dict(zip(self.lengths, output.split(list(self.lengths.values()), 1), strict=True))

    @torch.no_grad()
    def predict(self, pictures: Tensor) -> dict[str, Tensor]:
        """Class probabilities [B, n] of each named attribute; skin tone in [0, 1], age in years, gender -1..1.

        And the ``features`` that they are told from.
        """
        features = self.features(pictures)
        raw = self._answers(features)
        outputs = {name: raw[name].softmax(1) for name in self.classes}
        return outputs | {
            "features": features,
            "skin_tone": raw["skin_tone"].sigmoid(),
            "age": raw["age"].sigmoid() * 100.0,
            "gender": raw["gender"].tanh(),
        }
