"""Everything a reader wants to know of a face, in one forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.networks.blocks import ConvNorm, Mixer, Residual, Stem, channels_last
from mien.faces.networks.classes import in_layout

POSE_UNIT = 30.0
"""Degrees that one unit of the pose and gaze outputs stands for."""

AGE_UNIT = 100.0

NUMBERS: dict[str, int] = {
    "blendshapes": 52,
    "coefficients": 53,
    "pose": 3,
    "gaze": 2,
    "emotion": 8,
    "circumplex": 2,
    "skin_tone": 1,
    "age": 1,
    "gender": 1,
    "presence": 1,
}
"""Outputs and their lengths, besides landmarks, mask and the attributes with named classes."""


def face_trunk(
    size: int, widths: tuple[int, int, int, int], hidden: int
) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential, nn.Sequential]:
    """Layers of :class:`StudioFaceNet`: picture -> maps at 1/8 -> at 1/16 -> places at 1/32, and -> a vector."""
    a, b, c, d = widths
    places = (size // 32) ** 2
    return (
        nn.Sequential(Stem(a), ConvNorm(a, b, 3, 2), Residual(b), Mixer(b)),
        nn.Sequential(ConvNorm(b, c, 3, 2), Mixer(c), Mixer(c)),
        nn.Sequential(ConvNorm(c, d, 2, 2), Mixer(d), ConvNorm(d, 64, 1)),
        nn.Sequential(nn.Linear(64 * places, hidden), nn.SiLU()),
    )


class StudioFaceNet(ModelMixin, ConfigMixin):
    """A face in the studio's frame -> landmarks, coefficients, pose, gaze, emotion, mask, attributes.

    Args:
        size: side of the crop in pixels, a multiple of 32.
        widths: channels at 1/4, 1/8, 1/16 and 1/32.
        hidden: width of the common feature vector.
        basis: number of shapes the landmarks are a mixture of.
        classes: for each named attribute, its classes.

    Example:
        >>> import torch
        >>> from mien.faces.networks import StudioFaceNet
        >>> net = StudioFaceNet(size=64, widths=(8, 8, 8, 8), hidden=16, basis=4).eval()
        >>> net.predict(torch.zeros(1, 3, 64, 64))["landmarks"].shape
        torch.Size([1, 478, 3])
    """

    last = "numbers"

    @register_to_config
    def __init__(
        self,
        size: int = 128,
        widths: tuple[int, int, int, int] = (48, 96, 144, 192),
        hidden: int = 224,
        basis: int = 72,
        classes: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__()
        _, b, c, _ = widths
        self.low, self.middle, self.high, self.gather = face_trunk(size, widths, hidden)
        self.shape = nn.Linear(hidden, basis)
        self.points = nn.Linear(basis, 478 * 3)
        self.mask_low = nn.Conv2d(b, 16, 1)
        self.mask_middle = nn.Conv2d(c, 64, 1)
        self.classes = in_layout(classes)
        self.lengths = NUMBERS | {name: len(values) for name, values in self.classes.items()}
        self.numbers = nn.Linear(hidden, sum(self.lengths.values()))

    @torch.no_grad()
    def init_landmarks(self, landmarks: Tensor) -> None:
        """Start the landmark head from the mean and the principal shapes of landmarks [N, 478, 3] in crop pixels."""
        flat = (landmarks.float() / self.config["size"]).flatten(1)
        mean = flat.mean(0)
        rank = min(self.config["basis"], *flat.shape)
        _, values, directions = torch.pca_lowrank(flat - mean, q=rank, center=False, niter=3)
        self.points.weight[:, :rank] = directions * (values / len(flat) ** 0.5)
        self.points.bias.copy_(mean)

    def maps(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Feature maps at 1/8 and 1/16 of pictures [B, 3, H, W] of any size that is a multiple of 16."""
        low = self.low(channels_last(pictures))
        return low, self.middle(low)

    def forward(self, crops: Tensor) -> dict[str, Tensor]:
        """Raw outputs of [B, 3, size, size] in [-1, 1].

        Returns:
            ``landmarks`` [B, 478, 3] pixels of the crop; ``mask`` [B, 64, 64] logits (for size 128); the others [B, n]:
            logits where a probability is meant, degrees / ``POSE_UNIT`` for ``pose`` and ``gaze``.
        """
        low, middle = self.maps(crops)
        features = self.gather(self.high(middle).flatten(1))
        numbers = self.numbers(features).float()
        outputs = dict(zip(self.lengths, numbers.split(list(self.lengths.values()), 1), strict=True))
        # shapes are summed in full precision: half a pixel of 128 is all that bf16 could tell apart
        with torch.autocast(crops.device.type, enabled=False):
            points = F.linear(self.shape(features.to(self.shape.weight.dtype)).float(), self.points.weight.float())
            points = points + self.points.bias.float()
        outputs["landmarks"] = points.view(-1, 478, 3) * self.config["size"]
        mask = F.pixel_shuffle(self.mask_low(low), 4) + F.pixel_shuffle(self.mask_middle(middle), 8)
        outputs["mask"] = mask[:, 0].float()
        return outputs

    @torch.no_grad()
    def predict(self, crops: Tensor) -> dict[str, Tensor]:
        """As ``forward``, in the units of ``Face``: probabilities, degrees, years.

        Named attributes come as class probabilities, ``emotion`` as (valence, arousal, 8 probabilities).
        """
        raw = self(crops)
        outputs = {name: raw[name].softmax(1) for name in self.classes}
        for name in ("blendshapes", "coefficients", "presence", "skin_tone", "mask"):
            outputs[name] = raw[name].sigmoid()
        outputs["pose"], outputs["gaze"] = raw["pose"] * POSE_UNIT, raw["gaze"] * POSE_UNIT
        outputs["emotion"] = torch.cat([raw["circumplex"].tanh(), raw["emotion"].softmax(1)], 1)
        outputs["age"], outputs["gender"] = raw["age"].sigmoid() * AGE_UNIT, raw["gender"].tanh()
        outputs["landmarks"] = raw["landmarks"]
        return outputs
